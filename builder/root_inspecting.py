"""Whether an unpacked layer is what its entry list says: kinds, modes, owners, sizes, contents. No list has times."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from builder import listing
from builder.errors import StackbuildError
from builder.listing import Listed
from builder.store import Store

_OPAQUE = "/.wh..opq"


class Root(NamedTuple):
    """What is wrong with an unpacked folder, "" if nothing is; how many files were read, and bytes of them."""

    what: str
    files: int
    size: int


def of_layer(store: Store, folder: Path, layer: Mapping[str, Any]) -> Root:
    """Compare an unpacked layer with its list, which is in the store."""
    try:
        wanted = {one.path: one for one in listing.read(store, layer)}
    except StackbuildError:
        return whatever(folder)  # It was collected, or found damaged, meanwhile.
    files = [one for one in wanted.values() if one.kind == "file"]
    for one in wanted.values():
        if said := _differs(folder, one):
            return Root(f"{said}: /{one.path}", len(files), sum(one.size for one in files))
    strange = next(_strange(folder, wanted), "")
    return Root(f"not in the layer: /{strange}" if strange else "", len(files), sum(one.size for one in files))


def whatever(folder: Path) -> Root:
    """Look at what nothing tells the contents of, such as an interpreter's root: it is at least not empty."""
    try:
        empty = not any(folder.iterdir())
    except OSError as error:
        return Root(f"it cannot be read: {error.strerror}", 0, 0)
    return Root("it is empty" if empty else "", 0, 0)


def _differs(folder: Path, one: Listed) -> str:
    """What is wrong with an entry, "" if nothing is."""
    if one.path.endswith(_OPAQUE) and one.kind == "whiteout":
        return "" if _opaque(folder / one.path.removesuffix(_OPAQUE)) else "a folder is not opaque"
    path = folder / one.path
    try:
        info = path.lstat()
        if one.kind == "whiteout":
            return "" if stat.S_ISCHR(info.st_mode) and info.st_rdev == 0 else "no whiteout"
        if one.kind == "hardlink":
            other = folder / one.mark.removeprefix("-> ").lstrip("/")
            return "" if os.path.samestat(info, other.lstat()) else "no hard link"
        if one.kind == "link":
            return "" if stat.S_ISLNK(info.st_mode) and os.readlink(path) == one.mark.removeprefix("-> ") else "no link"
        if stat.S_ISDIR(info.st_mode) != (one.kind == "dir") or stat.S_ISREG(info.st_mode) != (one.kind == "file"):
            return f"no {one.kind}"
        if f"{stat.S_IMODE(info.st_mode):04o} {info.st_uid}:{info.st_gid}" != f"{one.mode} {one.ids}":
            return "another mode or owner"
        return _content(path, info, one) if one.kind == "file" else ""
    except FileNotFoundError:
        return "missing"
    except OSError as error:
        return f"cannot be read ({error.strerror})"


def _content(path: Path, info: os.stat_result, one: Listed) -> str:
    if info.st_size != one.size:
        return "another size"
    if one.mark == "-":
        return ""  # A foreign layer's list tells no contents apart.
    with path.open("rb") as stream:
        return "" if hashlib.file_digest(stream, "sha256").hexdigest()[: len(one.mark)] == one.mark else "other bytes"


def _opaque(folder: Path) -> bool:
    for name in ("trusted.overlay.opaque", "user.overlay.opaque"):
        try:
            if os.getxattr(folder, name, follow_symlinks=False) == b"y":
                return True
        except OSError:
            continue
    return False


def _strange(folder: Path, wanted: Mapping[str, Listed]) -> Iterator[str]:
    """What is there and not listed; folders above what is listed may be."""
    above = {"/".join(parts[:length]) for path in wanted for parts in [path.split("/")] for length in range(len(parts))}
    for base, names, files in os.walk(folder):
        start = os.path.relpath(base, folder)
        for name in sorted([*names, *files]):
            path = name if start == "." else f"{start}/{name}"
            if path not in wanted and path not in above:
                yield path
