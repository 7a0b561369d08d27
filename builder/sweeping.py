"""Remove from a store what nothing needs, in an order that a kill at any moment leaves sound.

    tables, names, proofs ─▶ actions ─▶ sources, blobs ─▶ roots ─▶ caches, logs

What names a thing goes before the thing: whoever finds a name finds what it means. Folders are only moved away, at
once and whole; emptying them is left to whoever gave the place.

Of these rooms, what is young stays: files that were written or linked lately, and folders that were made lately.
Caches, logs and roots of failed steps stay for longer, as nothing says whether they are needed. A folder that somebody
uses (`unpacked.held`) stays in any case. What lies in the store and is in no room here, nobody touches.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeAlias

from builder import unpacked
from builder.errors import StackbuildError
from builder.marking import Marks
from builder.store import Store


class Entry(NamedTuple):
    """A file or a folder of a room, and whether it stays."""

    path: Path
    kept: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """A part of the store, in the order of sweeping. `entries` are sorted by name."""

    name: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ages:
    """Moments in seconds since the epoch: what is newer than `young` is never judged, caches stay that are newer than
    `caches`."""

    young: float
    caches: float


_Needed: TypeAlias = Callable[[Path], bool]


def time_of(path: Path) -> float:
    """When a thing came to the store, or got another name there: whichever of its times is the latest."""
    info = path.lstat()
    return max(info.st_mtime, info.st_ctime)


def rooms(store: Store, marks: Marks, ages: Ages) -> tuple[Room, ...]:
    """All that is there, judged."""
    actions = {one.hex for one in marks.actions}
    blobs = {one.hex for one in marks.blobs}
    sources = {one.hex for one in marks.sources}
    layers = {f"layer-{one.removeprefix('sha256:')}" for one in marks.layers}

    def fresh(path: Path) -> bool:
        return time_of(path) > ages.caches

    def unpacked_root(path: Path) -> bool:
        return path.name in layers if path.name.startswith("layer-") else fresh(path)

    def metadata(path: Path) -> bool:
        return path.name[-64:] in sources or fresh(path)

    program = _room(store, "wheels", ages, fresh)
    sources |= {name for entry in program.entries if entry.kept for name in _wheels(entry.path)}
    failed = _room(store, "failed", ages, fresh)
    layers |= {name for entry in failed.entries if entry.kept for name in _lowers(entry.path)}
    return (
        _room(store, "tables", ages, lambda path: bool(keys := _tabled(path)) and keys <= actions),
        _room(store, "keys", ages, fresh),
        _room(store, "names", ages, lambda path: _text(path).removeprefix("sha256:") in actions),
        _room(store, "proven", ages, lambda path: path.name in actions),
        _room(store, "checked", ages, lambda path: path.name in actions),
        _room(store, "took", ages, lambda path: path.name in actions),
        _room(store, "actions", ages, lambda path: path.stem in actions),
        program,
        _room(store, "sources/sha256", ages, lambda path: path.name in sources),
        _room(store, "images/blobs/sha256", ages, lambda path: path.name in blobs),
        failed,
        _room(store, "roots", ages, unpacked_root),
        _room(store, "metadata", ages, metadata),
        _room(store, "repodata", ages, fresh),
        _room(store, "advisories", ages, fresh),
        _room(store, "released", ages, lambda path: path.stem in blobs or fresh(path)),
        _room(store, "logs", ages, fresh),
    )


def sweep(found: Iterable[Room], trash: Callable[[], Path]) -> Iterator[tuple[Path, Path | None]]:
    """Remove what does not stay, one thing at a time, and tell of each once it is gone: a folder with where it is now.

    Args:
        trash: makes the place where folders go, on the store's own file system; called for the first of them.
    """
    place: Path | None = None
    for room in found:
        gone = [entry.path for entry in room.entries if not entry.kept]
        for path in gone:
            with suppress(FileNotFoundError):
                if path.is_dir() and not path.is_symlink():
                    try:
                        place = place or trash()
                        there = Path(tempfile.mkdtemp(dir=place)) / path.name
                        os.rename(path, there)
                    except (OSError, StackbuildError):  # No room for a folder; `held` keeps whoever uses it out.
                        shutil.rmtree(path, ignore_errors=True)
                        yield path, None
                    else:
                        yield path, there
                else:
                    path.unlink()
                    yield path, None
        if gone:
            _settle(gone[0].parent)


def _room(store: Store, name: str, ages: Ages, needed: _Needed) -> Room:
    folder = store.path / name
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    return Room(name=name, entries=tuple(Entry(path, _stays(path, ages, needed)) for path in paths))


def _stays(path: Path, ages: Ages, needed: _Needed) -> bool:
    try:
        return time_of(path) > ages.young or needed(path) or unpacked.in_use(path)
    except FileNotFoundError:
        return True  # It went by itself.


def _settle(folder: Path) -> None:
    """Let a room be swept on disk before the next one is: a power cut may not reorder them."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _text(path: Path) -> str:
    return path.read_text("ascii", "replace")


def _tabled(path: Path) -> set[str]:
    """Plan keys, in hex, of a table that says what was built; none of one that is damaged."""
    try:
        keys = [str(row["key"]) for row in json.loads(path.read_bytes()).values()]
        return {key.removeprefix("sha256:") for key in keys if key}
    except (ValueError, KeyError, TypeError, AttributeError):
        return set()


def _wheels(table: Path) -> set[str]:
    """The digests, in hex, of the wheels that a bundle took for stackbuild itself; none of a damaged table."""
    try:
        return {str(digest).removeprefix("sha256:") for _, digest, _ in json.loads(table.read_bytes())}
    except (OSError, ValueError, TypeError):
        return set()


def _lowers(failed: Path) -> set[str]:
    """Names of the roots that a failed step stood on."""
    try:
        return {Path(one).name for one in json.loads((failed / "lowers.json").read_bytes())}
    except (OSError, ValueError, TypeError):
        return set()
