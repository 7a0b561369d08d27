"""How much disk the rooms of a store take, and give back."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from builder.sweeping import Room


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """What came of one room: numbers of files or folders, and their bytes."""

    room: str
    kept: int
    kept_bytes: int
    freed: int
    freed_bytes: int


def files(rooms: Iterable[Room]) -> dict[Path, int]:
    """Bytes of the files in these rooms. One with several names is counted where it stays, else where it goes last."""
    found: dict[Path, int] = {}
    links: dict[tuple[int, int], int] = {}
    counted: set[tuple[int, int]] = set()
    for path, kept in sorted((entry for room in rooms for entry in room.entries), key=lambda entry: not entry.kept):
        try:
            info = path.lstat()
        except FileNotFoundError:
            continue
        if stat.S_ISDIR(info.st_mode):
            continue
        name = (info.st_dev, info.st_ino)
        links[name] = links.get(name, 0) + 1
        whole = name not in counted and (kept or links[name] == info.st_nlink)
        found[path] = info.st_size if whole else 0
        counted.update([name] if whole else [])
    return found


class Weighed(NamedTuple):
    """What a file or a folder weighs: bytes, and which inode they are of."""

    inode: tuple[int, int]
    size: int


def weigh(path: Path) -> Weighed:
    """Weigh a file, or all files below a folder; what is gone weighs nothing."""
    try:
        info = path.lstat()
    except FileNotFoundError:
        return Weighed((0, 0), 0)
    size = _tree(path) if stat.S_ISDIR(info.st_mode) else info.st_size
    return Weighed((info.st_dev, info.st_ino), size)


def weights(rooms: Iterable[Room], sizes: Mapping[Path, int], moved: Mapping[Path, Path]) -> tuple[Weight, ...]:
    """What came of each room that has anything.

    Args:
        sizes: what `files` found before anything was removed.
        moved: where folders are now.
    """
    found = []
    for room in rooms:
        rows = [(kept, sizes[path] if path in sizes else _tree(moved.get(path, path))) for path, kept in room.entries]
        stay, gone = ([size for kept, size in rows if kept is wanted] for wanted in (True, False))
        if rows:
            found.append(
                Weight(
                    room=room.name.partition("/")[0],
                    kept=len(stay),
                    kept_bytes=sum(stay),
                    freed=len(gone),
                    freed_bytes=sum(gone),
                )
            )
    return tuple(found)


def size_of(text: str) -> int | None:
    """Bytes of a size such as `20GB`, `1.5 TB`, `500MiB`; None if it is none."""
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,3})?) ?([kMGT])(i?)B", text.strip())
    if found is None:
        return None
    power = "kMGT".index(found[2]) + 1
    return int(float(found[1]) * (1024 if found[3] else 1000) ** power)


def _tree(folder: Path) -> int:
    """Bytes of the files below a folder; what vanishes meanwhile counts as nothing."""
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(path, name)).st_size
            except FileNotFoundError:
                continue
    return total
