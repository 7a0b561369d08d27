"""Entries and trees: what a layer will hold, before it is a tar.

A tree is a sequence of entries in the byte order of their paths, parents before children. It is not a folder on
disk: an entry's content may lie in memory, in a file, or still deflated inside a wheel.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from builder.digest import Digest
from builder.errors import HostileInput, StackbuildError

NEWEST = 1_767_225_600
"""2026-01-01T00:00:00Z: the newest mtime in a layer, seconds. A constant, because re-dating re-makes layers."""

EntryKind: TypeAlias = Literal["dir", "file", "link", "hardlink", "whiteout"]


@dataclass(frozen=True, slots=True)
class Bytes:
    """Content in memory."""

    data: bytes

    @property
    def size(self) -> int:
        return len(self.data)


@dataclass(frozen=True, slots=True)
class File:
    """Content in a file on disk; `size` in bytes as seen when the tree was made."""

    path: str
    size: int


@dataclass(frozen=True, slots=True)
class Slice:
    """Content that is a part of a file on disk, as it stands there (a member of a tar).

    Attributes:
        offset: where it begins, bytes; `size` in bytes.
        digest: sha256 that the package claims, checked when it is written; None where it claims none.
    """

    path: str
    offset: int
    size: int
    digest: bytes | None


@dataclass(frozen=True, slots=True)
class Member:
    """Content still deflated inside a zip archive.

    Attributes:
        archive: path of the zip file.
        offset: where the member's data begins, bytes.
        packed: length of that data, bytes.
        size: length once inflated, bytes.
        crc: CRC-32 that the central directory claims.
        method: 0 (stored) or 8 (deflate), APPNOTE 4.4.5.
        digest: sha256 that the wheel's RECORD claims, or None where RECORD may be silent (PEP 376).
        name: for errors: `numpy-2.4.6-….whl: numpy/__init__.py`.
    """

    archive: str
    offset: int
    packed: int
    size: int
    crc: int
    method: int
    digest: bytes | None
    name: str


Content: TypeAlias = Bytes | File | Slice | Member


@dataclass(frozen=True, slots=True)
class Entry:
    """One path of a tree.

    Attributes:
        path: relative, without a leading slash; "" is the root folder.
        mode: permission bits, setuid, setgid and sticky included.
        target: text of a link, path of a hard link's first name.
        owner: the package it came from, "" for none.
    """

    path: str
    kind: EntryKind
    mode: int = 0o755
    uid: int = 0
    gid: int = 0
    mtime: int = NEWEST
    content: Content | None = None
    target: str = ""
    owner: str = ""
    xattrs: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """Packages that share one layer. `name` is the package's own, or `bucket-0` … `bucket-3`."""

    name: str
    members: tuple[str, ...]


BUCKETS = 4
THRESHOLD = 8 << 20
"""A package at least this large, in the bytes its lock tells, is a layer of its own."""
OWN_LAYERS = 24
"""More layers than this in one image of one kind, and the image's threshold doubles."""


_STRANGE = re.compile("[\0-\x1f\x7f\\\\\ud800-\udfff]")
"""Control characters, backslashes, and bytes that are no UTF-8 (as `os.fsdecode` gives them)."""


def safe(path: str, where: str) -> str:
    """The path in normal form, relative and without a leading slash: the one judge of foreign paths.

    Raises:
        HostileInput: absolute, escaping, empty, or with characters that no package needs.
    """
    parts = path.split("/")
    if path.startswith("/") or ".." in parts or _STRANGE.search(path) or not path.strip("./"):
        raise HostileInput(f"unsafe path: {path!r}", where=where, expected="a relative path inside the package")
    if "." in parts or "" in parts:
        path = "/".join(part for part in parts if part not in {"", "."})
    return path


def with_parents(entries: Iterable[Entry], known: dict[str, Entry] | None = None) -> list[Entry]:
    """Sorted entries, each folder on the way present: as in `known` if it stands there, else 0755 0:0.

    Raises:
        StackbuildError: an entry lies below what is no folder.
    """
    found = {entry.path: entry for entry in entries}
    for path, below in list(found.items()):
        while "/" in path:
            path = path.rpartition("/")[0]
            if path in found:
                if found[path].kind != "dir":
                    raise _no_folder(found[path], below)
                break
            found[path] = (known or {}).get(path) or Entry(path, "dir")
    return sorted(found.values(), key=lambda entry: entry.path.encode("utf-8", "surrogateescape"))


def _no_folder(entry: Entry, below: Entry) -> StackbuildError:
    owners = sorted({entry.owner, below.owner} - {""})
    return StackbuildError(
        f"{entry.path} is to be a {entry.kind}, and a folder that holds {below.path}",
        where=" and ".join(owners),
        next_step="leave one of the packages out" if len(owners) > 1 else "",
    )


def partition(sizes: Sequence[tuple[str, int]]) -> tuple[Part, ...]:
    """Cut packages into layers, by what a lock alone knows, so that the cut is known before anything is fetched.

    Large packages stand alone, the others go to buckets by the digest of their name: a bump moves no package to
    another layer, unless its own size crosses the threshold.

    Args:
        sizes: (name, bytes), names unique.
    """
    threshold = THRESHOLD
    while sum(size >= threshold for _, size in sizes) > OWN_LAYERS - BUCKETS:
        threshold *= 2
    alone = [Part(name, (name,)) for name, size in sizes if size >= threshold]
    buckets: dict[int, list[str]] = {}
    for name, size in sizes:
        if size < threshold:
            buckets.setdefault(int(Digest.of(name.encode()).hex[:8], 16) % BUCKETS, []).append(name)
    shared = [Part(f"bucket-{n}", tuple(sorted(names))) for n, names in sorted(buckets.items())]
    return (*shared, *sorted(alone, key=lambda part: part.name))


def merge(
    trees: Iterable[Iterable[Entry]], *, refuse: Callable[[str, str, str], StackbuildError] | None = None
) -> list[Entry]:
    """One tree of several packages' entries.

    A path with two owners and equal content keeps the first owner by name; a folder may have many.

    Args:
        refuse: the error for a path and its two owners, in the words of whoever asks.

    Raises:
        StackbuildError: two packages bring one path with different content.
    """
    found: dict[str, Entry] = {}
    for tree in trees:
        for entry in tree:
            other = found.get(entry.path)
            if other is None:
                found[entry.path] = entry
            elif entry.kind == other.kind == "dir":
                continue
            elif _same(entry, other):
                if entry.owner < other.owner:
                    found[entry.path] = entry
            elif refuse is not None:
                raise refuse(entry.path, other.owner, entry.owner)
            else:
                raise StackbuildError(
                    f"two packages bring {entry.path}",
                    where=f"{other.owner} and {entry.owner}",
                    expected="equal bytes and modes, or one owner",
                    next_step="leave one of the packages out, or pin versions that do not collide",
                )
    return list(found.values())


def _same(one: Entry, other: Entry) -> bool:
    if one.kind != other.kind or one.mode != other.mode or one.target != other.target:
        return False
    a, b = one.content, other.content
    if isinstance(a, Member) and isinstance(b, Member):
        return (a.size, a.crc, a.digest) == (b.size, b.crc, b.digest) and a.digest is not None
    if isinstance(a, Slice) and isinstance(b, Slice):
        return (a.size, a.digest) == (b.size, b.digest) and a.digest is not None
    return a == b
