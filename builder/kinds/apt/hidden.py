"""What an overlay's upper folder hides by opaque folders, said name by name.

dpkg makes a folder under another name and moves it; the kernel then marks it as opaque, whether the layers below have
it or not (Linux, fs/overlayfs/dir.c). One upper folder becomes several layers, and an opaque folder in the last of them
would hide what the others have there.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from builder.scan import is_opaque
from builder.tree import Entry

_MARK = "/.wh..opq"


def spelled_out(entries: Iterable[Entry], lowers: Sequence[Path]) -> Iterator[Entry]:
    """The entries, with a whiteout for each path of the layers below that an opaque folder hides, and without its mark.

    Args:
        lowers: the unpacked layers below, lowest first.
    """
    found = {entry.path: entry for entry in entries}
    hidden: set[str] = set()
    for path in found:
        if path.endswith(_MARK):
            hidden.update(_hidden(path.removesuffix(_MARK), found, lowers))
        else:
            yield found[path]
    yield from (Entry(path, "whiteout") for path in sorted(hidden) if path not in found)


def _hidden(folder: str, found: Mapping[str, Entry], lowers: Sequence[Path]) -> Iterator[str]:
    for name in _names(folder, lowers):
        path = f"{folder}/{name}"
        if path not in found:
            yield path
        elif found[path].kind == "dir":
            yield from _hidden(path, found, lowers)


def _names(folder: str, lowers: Sequence[Path]) -> set[str]:
    """What a folder holds in the layers below, seen together; nothing if it is no folder there."""
    names: set[str] = set()
    for lower in lowers:
        if _covers(lower, folder):
            names.clear()
        place = lower / folder
        if not place.is_dir() or place.is_symlink():
            continue
        with os.scandir(place) as listing:
            for one in listing:
                (names.discard if _is_whiteout(one.stat(follow_symlinks=False)) else names.add)(one.name)
    return names


def _covers(lower: Path, folder: str) -> bool:
    """Whether a layer hides what lower ones have in a folder: it is opaque there, or has something else on the way."""
    place = lower
    for part in folder.split("/"):
        place = place / part
        try:
            info = place.lstat()
        except FileNotFoundError:
            return False
        if not stat.S_ISDIR(info.st_mode) or is_opaque(str(place)):
            return True
    return False


def _is_whiteout(info: os.stat_result) -> bool:
    return stat.S_ISCHR(info.st_mode) and info.st_rdev == 0
