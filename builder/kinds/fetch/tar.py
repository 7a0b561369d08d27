"""Reading tar archives, plain or packed by gzip, bzip2, xz or zstd, and a Debian package's data archive (deb(5))."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

from builder.errors import HostileInput
from builder.frames import Frames
from builder.guarded import Readable
from builder.kinds.apt.deb import BadDeb, Part, ar_members
from builder.kinds.fetch.member import Found, Limits, Member, bomb, damaged, link_text
from builder.tree import NEWEST, safe

_BLOCK = 1 << 16


def members(stream: IO[bytes], where: str, limits: Limits, room: int) -> Iterator[Found]:
    """The members of a tar. `room`: bytes that it may unpack to."""
    metered = _Metered(_unpacked(stream), where, limits, room)
    with tarfile.open(
        fileobj=cast(IO[bytes], metered),
        mode="r|",
        bufsize=_BLOCK,
        encoding="utf-8",
        errors="surrogateescape",
    ) as archive:
        for info in archive:
            metered.expect(info.offset_data + max(info.size, 0) + tarfile.BLOCKSIZE)
            if info.isdir() and info.name in {"", "."}:
                continue  # The root itself stands already.
            yield _tar_member(info, where), archive.extractfile(info) if info.isreg() else None


def _tar_member(info: tarfile.TarInfo, where: str) -> Member:
    path = safe(info.name, where)
    if info.size < 0:
        raise damaged(where, f"{path} has a size below zero")
    mtime = int(max(0, min(info.mtime, NEWEST)))
    if info.isdir():
        return Member(path=path, kind="dir")
    if info.issym():
        return Member(path=path, kind="link", target=link_text(info.linkname, path, where), mtime=mtime)
    if info.islnk():
        return Member(path=path, kind="hardlink", target=safe(info.linkname, where))
    if not info.isreg() or info.issparse():
        what = "a sparse file" if info.issparse() else "a device, a pipe, or of an unknown type"
        raise HostileInput(f"an archive's member is {what}: {path}", where=where, expected="files, folders and links")
    special = "setuid" if info.mode & stat.S_ISUID else "setgid" if info.mode & stat.S_ISGID else ""
    if "SCHILY.xattr.security.capability" in info.pax_headers:
        special = special or "file capabilities"
    program = bool(info.mode & stat.S_IXUSR)
    return Member(path=path, kind="file", size=info.size, program=program, special=special, mtime=mtime)


class _Metered:
    """A stream that stops where an archive begins to be a bomb; tarfile reads headers of any length into memory."""

    def __init__(self, inner: Readable, where: str, limits: Limits, room: int) -> None:
        self._inner = inner
        self._where = where
        self._headers = limits.headers + _BLOCK
        self._room = room
        self._done = 0
        self._next = self._headers

    def expect(self, end: int) -> None:
        """The content of a member ends at this offset of the tar; headers may follow."""
        self._next = end + self._headers

    def read(self, size: int = _BLOCK, /) -> bytes:
        data = self._inner.read(size)
        self._done += len(data)
        if self._done > self._room:
            raise bomb(self._where, self._room)
        if self._done > self._next:
            raise HostileInput("an archive has headers without an end", where=self._where)
        return data


def _unpacked(stream: IO[bytes]) -> Readable:
    """The stream behind the compression that its first bytes tell."""
    start = stream.tell()
    magic = stream.read(6)
    stream.seek(start)
    if magic.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=stream)
    if magic.startswith(b"BZh"):
        return bz2.BZ2File(stream)
    if magic.startswith(b"\xfd7zXZ\0"):
        return lzma.LZMAFile(stream)
    if magic.startswith(b"\x28\xb5\x2f\xfd"):
        return io.BufferedReader(Frames(stream), _BLOCK)
    return stream


def data_of_deb(stream: IO[bytes], path: Path) -> IO[bytes]:
    """The data archive of a Debian package (deb(5)); its scripts and what it asks for are not looked at."""
    found = ar_members(stream, str(path))
    name = next((one for one in found if one.startswith("data.tar")), None)
    if name is None:
        raise BadDeb("no data archive is in it")
    return io.BufferedReader(Part(stream, *found[name]), _BLOCK)
