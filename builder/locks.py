"""The folder of locks: which file holds what, read once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Final

from builder.lock import Lock
from builder.manifest.model import Target

FORMATS: Final[Mapping[str, tuple[str, str]]] = {
    "apt": (".apt.lock", "builder.kinds.apt.lockfile"),
    "pip": (".pip.txt", "builder.kinds.pip.lockfile"),
    "pip-build": (".pip-build.txt", "builder.kinds.pip.lockfile"),
}
"""Kind of lock → end of its file name, and the module that reads and writes its text."""


class Locks:
    """The locks below one folder, `locks/<image>/[<variant>.]<os>-<arch><suffix>`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._read: dict[Path, Lock | None] = {}

    def path(self, target: Target, kind: str) -> Path:
        return self.folder / target.image / (target.stem + FORMATS[kind][0])

    def read(self, target: Target, kind: str) -> Lock | None:
        """The lock, or None where there is no file.

        Raises:
            StackbuildError: the file is damaged.
        """
        path = self.path(target, kind)
        if path not in self._read:
            try:
                text = path.read_text("utf-8")
            except FileNotFoundError:
                self._read[path] = None
            else:
                self._read[path] = import_module(FORMATS[kind][1]).loads(text, path)
        return self._read[path]

    def put(self, target: Target, kind: str, lock: Lock) -> None:
        """Let later reads see a lock that is not written yet."""
        self._read[self.path(target, kind)] = lock

    def files(self) -> Iterator[Path]:
        """Every file below the folder, sorted."""
        if self.folder.is_dir():
            yield from sorted(path for path in self.folder.rglob("*") if path.is_file())
