"""The folder of locks: which file holds what, read once."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Container, Iterator, Mapping
from functools import cache
from pathlib import Path

from builder import limits
from builder.errors import HostileInput
from builder.kinds import kinds, submodule
from builder.lock import Lock
from builder.manifest.env import CONDA
from builder.manifest.model import Manifest, Target
from builder.own import own

_CONFLICT = re.compile(r"^(<{7}|={7}|>{7}|\|{7})( .*)?$", re.MULTILINE)


@cache
def formats() -> dict[str, tuple[str, str]]:
    """Kind of lock → end of its file name, and the kind whose `lockfile` reads and writes its text."""
    return {
        lock: (suffix, name) for name, kind in kinds().items() for lock, suffix in getattr(kind, "LOCKS", {}).items()
    }


class Locks:
    """The locks below one folder, `locks/<image>/[<variant>.]<os>-<arch><suffix>`.

    Args:
        other: those of another state of the same project: a file that has the same text there is parsed once.
    """

    def __init__(self, folder: Path, other: Locks | None = None) -> None:
        self.folder = folder
        self._other = other
        self._read: dict[tuple[Target, str], Lock | None] = {}
        self._names: dict[str, set[str]] = {}

    def path(self, target: Target, kind: str) -> Path:
        return self.folder / target.image / (target.stem + formats()[kind][0])

    def has(self, target: Target) -> bool:
        """Whether there is a lock of any kind."""
        return bool(self._there(target.image) & _named(target))

    def read(self, target: Target, kind: str) -> Lock | None:
        """The lock, or None where there is no file.

        Raises:
            StackbuildError: the file is damaged, holds the marks of a merge conflict, or is a link.
        """
        if (target, kind) not in self._read:
            self._read[target, kind] = self._lock(target, kind)
        return self._read[target, kind]

    def text(self, target: Target, kind: str) -> str:
        """What the file of a lock holds, as it stands.

        Raises:
            FileNotFoundError: there is none.
            StackbuildError: it is too long, no text, or a link.
        """
        path = self.path(target, kind)
        try:
            return self._bytes(path).decode().replace("\r\n", "\n")  # As git has it on some machines.
        except UnicodeDecodeError as error:
            raise _damaged(path, f"byte {error.start} is none", expected="UTF-8") from None

    def _lock(self, target: Target, kind: str) -> Lock | None:
        try:
            text = self.text(target, kind)
        except FileNotFoundError:
            return None
        return self._like(target, kind, text) or _parsed(kind, text, self.path(target, kind))

    def _bytes(self, path: Path) -> bytes:
        found = own(self.folder.parent, path.relative_to(self.folder.parent).as_posix(), "a lock")
        most = limits.TOML_LOCK if path.suffix == ".toml" else limits.LOCK
        return limits.read(found, most, "lock", _next(path))

    def _like(self, target: Target, kind: str, text: str) -> Lock | None:
        """What the other state has parsed, or would, if its file has that text."""
        if self._other is None:
            return None
        try:
            same = self._other._bytes(self._other.path(target, kind)) == text.encode()
        except FileNotFoundError:
            return None
        return self._other.read(target, kind) if same else None

    def put(self, target: Target, kind: str, lock: Lock) -> None:
        """Let later reads see a lock that is not written yet."""
        self._read[target, kind] = lock
        self._there(target.image).add(self.path(target, kind).name)

    def _there(self, image: str) -> set[str]:
        """The names of the files that an image's folder has."""
        if image not in self._names:
            try:
                found = {entry.name for entry in os.scandir(self.folder / image) if entry.is_file()}
            except (FileNotFoundError, NotADirectoryError):
                found = set()
            self._names[image] = found
        return self._names[image]

    def forget(self, *, keep: Collection[Target]) -> None:
        """Hold no locks in memory but those of these targets, and of the same images for other platforms."""
        kept = {(one.image, one.variant) for one in keep}
        for target, kind in [one for one in self._read if (one[0].image, one[0].variant) not in kept]:
            del self._read[target, kind]

    def files(self) -> Iterator[Path]:
        """Every file below the folder, sorted."""
        if self.folder.is_dir():
            yield from sorted(path for path in self.folder.rglob("*") if path.is_file())


class Listed:
    """Which targets have locks, by the list of a project's files alone.

    Args:
        paths: relative to the project.
    """

    def __init__(self, paths: Container[str]) -> None:
        self._paths = paths

    def has(self, target: Target) -> bool:
        return any(f"locks/{target.image}/{name}" in self._paths for name in _named(target))


def _named(target: Target) -> set[str]:
    return {target.stem + suffix for suffix, _ in formats().values()}


def _parsed(kind: str, text: str, path: Path) -> Lock:
    _merged(text, path)
    name = formats()[kind][1]
    try:
        found: Lock = (submodule(name, "lockfile") or kinds()[name]).loads(text, path)
    except RecursionError:
        raise _damaged(path, "lists or tables nested too deeply") from None
    return found


def _damaged(path: Path, got: str, expected: str = "") -> HostileInput:
    return HostileInput("lock is damaged", where=str(path), expected=expected, got=got, next_step=_next(path))


def _next(path: Path) -> str:
    return f"git checkout -- {path}, or make it anew: stackbuild lock"


def _merged(text: str, path: Path) -> None:
    """Refuse a lock that git could not merge, before its kind calls it damaged."""
    if found := _CONFLICT.search(text):
        raise HostileInput(
            "lock with merge conflicts",
            where=f"{path}:{text.count(chr(10), 0, found.start()) + 1}",
            got=found[0][:100],
            next_step="take either side of it, then: stackbuild lock",
        )


def held(manifest: Manifest, locks: Locks, target: Target, kind: str) -> tuple[str, Lock] | None:
    """What the foreign image that the target's family begins with holds of a kind: its name, and pins without files.

    Python packages count that lie where the target's own will, conda's likewise; `oci` are its Pythons, each named by
    its prefix. None where the family has no such root, or it holds none.

    Raises:
        StackbuildError: the lock that says it is damaged.
    """
    root = manifest.lineage(target)[0]
    base = manifest.image(root).base
    lock = locks.read(root, "inherited") if base else None
    if lock is None:
        return None
    prefix = ""
    if kind == "pip":
        python = manifest.option(target, "python")
        if not isinstance(python, Mapping):
            return None
        prefix = str(python.get("prefix") or manifest.option(target, "conda-prefix") or CONDA)
    elif kind == "conda":
        prefix = str(manifest.option(target, "conda-prefix") or CONDA)
    wanted = "python" if kind == "oci" else kind
    pins = tuple(pin for pin in lock.pins if pin.kind == wanted and prefix in {"", pin.field("prefix")})
    return (f"oci:{base}", Lock(request=(), pins=pins)) if pins else None
