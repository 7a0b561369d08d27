"""The file of a bundle: one tar of one folder, written while it is read, with the digest of everything in it.

    <folder>/SHA256SUMS     as sha256sum(1) reads it
    <folder>/…              files and links by path, each after the folders that it lies in

Nothing depends on who writes it, when or where: paths in the order of their bytes, owner 0:0 without names, one mtime,
modes 0755 and 0644. Not compressed, as nearly all that is in it is.

Source: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Extended Header".
"""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from builder.digest import Digest
from builder.errors import HostileInput
from builder.tree import NEWEST

SUMS: Final = "SHA256SUMS"
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A file of a bundle, or a link.

    Attributes:
        name: its path in the folder.
        digest: of its bytes, which are hashed again when they are read.
        size: in bytes.
        content: the bytes, or where they lie.
        program: whether it may be executed.
        target: where it leads, if it is a link.
    """

    name: str
    digest: Digest = Digest.of(b"")  # noqa: RUF009
    size: int = 0
    content: bytes | Path = b""
    program: bool = False
    target: str = ""


def from_bytes(name: str, data: bytes, *, program: bool = False) -> Member:
    """A file with these bytes."""
    return Member(name=name, digest=Digest.of(data), size=len(data), content=data, program=program)


def from_file(name: str, path: Path) -> Member:
    """A file of the disk with its execute bit; hashed here and when it is written."""
    info = path.stat()
    program = bool(info.st_mode & 0o100)
    return Member(name=name, digest=Digest.of_file(path), size=info.st_size, content=path, program=program)


def sums(members: Iterable[Member]) -> Member:
    """The member that has a line for every file, by path."""
    lines = [_line(one) for one in sorted(members, key=_place) if not one.target]
    return from_bytes(SUMS, "".join(lines).encode("utf-8", "surrogateescape"))


def size(folder: str, members: Iterable[Member]) -> int:
    """Bytes of the whole file."""
    found = sum(len(_header(path, one)) + (_padded(one.size) if one else 0) for path, one in _entries(folder, members))
    return found + 2 * tarfile.BLOCKSIZE


def stream(folder: str, members: Iterable[Member]) -> Iterator[bytes]:
    """The bytes of the file.

    Raises:
        HostileInput: a file on the disk is not what its digest says.
        OSError: it cannot be read.
    """
    for path, one in _entries(folder, members):
        yield _header(path, one)
        if one is not None and one.size:
            yield from _content(one)
            yield bytes(_padded(one.size) - one.size)
    yield bytes(2 * tarfile.BLOCKSIZE)


def _entries(folder: str, members: Iterable[Member]) -> list[tuple[str, Member | None]]:
    """Paths with their members, None for folders, in the order of their bytes: what lies in a folder comes after it."""
    found: dict[str, Member | None] = {}
    for one in members:
        path = f"{folder}/{one.name}"
        found[path] = one
        while (path := path.rpartition("/")[0]) and path not in found:
            found[path] = None
    return sorted(found.items(), key=lambda row: row[0].encode("utf-8", "surrogateescape"))


def _header(path: str, one: Member | None) -> bytes:
    info = tarfile.TarInfo(path)
    info.mtime, info.mode = NEWEST, 0o755
    if one is None:
        info.type = tarfile.DIRTYPE
    elif one.target:
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, one.target, 0o777
    else:
        info.size, info.mode = one.size, 0o755 if one.program else 0o644
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _content(one: Member) -> Iterator[bytes]:
    if isinstance(one.content, bytes):
        yield one.content
        return
    hasher, done = hashlib.sha256(), 0
    with one.content.open("rb", buffering=0) as file:
        while chunk := file.read(min(_CHUNK, one.size - done)):
            hasher.update(chunk)
            done += len(chunk)
            yield chunk
    got = Digest("sha256:" + hasher.hexdigest())
    if done != one.size or got != one.digest:
        raise HostileInput(
            f"a file is not what it was: {one.content}",
            expected=f"{one.digest}, {one.size} bytes",
            got=f"{got}, {done} bytes",
            next_step="if it lies in the store, remove it; then run the same command again",
        )


_ESCAPES: Final[Mapping[int, str]] = {ord("\\"): "\\\\", ord("\n"): "\\n", ord("\r"): "\\r"}


def _line(one: Member) -> str:
    """As sha256sum writes it: a name that would break the line is escaped, and the line begins with a backslash."""
    name = one.name.translate(_ESCAPES)
    return f"{'' if name == one.name else chr(92)}{one.digest.hex}  {name}\n"


def _place(one: Member) -> bytes:
    return one.name.encode("utf-8", "surrogateescape")


def _padded(count: int) -> int:
    return count + -count % tarfile.BLOCKSIZE
