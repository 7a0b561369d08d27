"""The bytes of one entry, read once, from wherever they lie; every claim about them is checked on the way.

Who deals with content that is still deflated inside a wheel may have the deflate stream too (`stream`), which is
sound once the inflated bytes were read to their end: size, CRC-32, RECORD's sha256, and that it ends exactly where
the wheel says.
"""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

from isal import igzip_lib, isal_zlib

from builder.errors import HostileInput
from builder.tree import Bytes, Content, File, Member, Slice

_MOST = 1 << 24
"""Bytes that are read, or inflated from, at a time."""


class Reading:
    """Content on its way into a layer: iterate to its end.

    Args:
        piece: every piece but the last has so many bytes; 0 for pieces as they come.
    """

    def __init__(self, content: Content, piece: int = 0) -> None:
        self._content = content
        self._piece = piece
        self._own = hashlib.sha256()
        self._done = 0
        self.crc = 0
        """CRC-32 of a wheel's member, so far."""

    @property
    def digest(self) -> bytes:
        """The sha256 of what was read so far."""
        return self._own.digest()

    def __iter__(self) -> Iterator[bytes]:
        """The pieces; at the end everything was checked that anybody claimed.

        Raises:
            HostileInput: a wheel's member is not what its wheel claims, or a file changed meanwhile.
        """
        content = self._content
        for data in self._pieces():
            self._own.update(data)
            self._done += len(data)
            if isinstance(content, Member):
                self.crc = isal_zlib.crc32(data, self.crc)
            yield data
        if isinstance(content, Member):
            _judge(content, self.digest, self.crc, self._done)
        elif self._done != content.size:
            raise HostileInput(
                "a file changed while it was written to a layer",
                expected=f"{content.size} bytes",
                got=f"{self._done}",
            )

    def _pieces(self) -> Iterator[bytes]:
        content, length = self._content, self._piece or _MOST
        if isinstance(content, Bytes):
            return _stored(memoryview(content.data), length)
        if isinstance(content, File):
            return _file(content, length)
        if isinstance(content, Slice):
            return _stretch(content, length)
        view = stream(content)
        if content.method != 0:
            inflated = _inflated(content, view)
            return _cut(inflated, self._piece) if self._piece else inflated
        if content.size != content.packed:
            raise _lies(content, f"it holds {content.packed} bytes, its directory says {content.size}")
        return _stored(view, length)


def stream(member: Member) -> memoryview:
    """A member's data as it lies in the wheel.

    Raises:
        HostileInput: it runs past the end of the wheel.
    """
    view = memoryview(_mapped(member.archive))[member.offset : member.offset + member.packed]
    if len(view) != member.packed:
        raise _lies(member, "its data runs past the end of the wheel")
    return view


def _inflated(member: Member, view: memoryview) -> Iterator[bytes]:
    """A member's bytes; one more than it claims at most."""
    inflater, done = isal_zlib.decompressobj(-15), 0
    try:
        for start in range(0, max(len(view), 1), _MOST):
            piece = inflater.decompress(view[start : start + _MOST], member.size - done + 1)
            while True:
                done += len(piece)
                if done > member.size:
                    raise _lies(member, f"it inflates to more than {member.size} bytes")
                yield piece
                if inflater.eof or not inflater.unconsumed_tail:
                    break
                piece = inflater.decompress(inflater.unconsumed_tail, member.size - done + 1)
            if inflater.eof and (inflater.unused_data or start + _MOST < len(view)):
                raise _lies(member, "bytes follow the end of its deflate stream")
    except igzip_lib.IsalError as error:  # type: ignore[misc]  # The stub has it as a variable.
        raise _lies(member, f"its deflate stream is damaged ({error})") from None
    if not inflater.eof:
        raise _lies(member, "its deflate stream does not end")


def _cut(pieces: Iterable[bytes], length: int) -> Iterator[bytes]:
    kept = bytearray()
    for data in pieces:
        kept += data
        while len(kept) >= length:
            yield bytes(kept[:length])
            del kept[:length]
    if kept:
        yield bytes(kept)


def _judge(member: Member, digest: bytes, crc: int, size: int) -> None:
    if size != member.size:
        raise _lies(member, f"it holds {size} bytes, its directory says {member.size}")
    if crc != member.crc:
        raise _lies(member, "its CRC-32 is not the one in the directory")
    if member.digest is not None and digest != member.digest:
        raise _lies(member, f"RECORD says sha256 {member.digest.hex()[:16]}…, it has {digest.hex()[:16]}…")


def _lies(member: Member, got: str) -> HostileInput:
    return HostileInput(
        f"a wheel is not what it claims: {member.name}",
        got=got + "; nothing was kept",
        next_step="report it to the package's authors, and pin another version",
    )


@lru_cache(maxsize=64)
def _mapped(path: str) -> mmap.mmap:
    with Path(path).open("rb") as source:
        return mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ)


def _stored(data: memoryview, length: int) -> Iterator[bytes]:
    return (bytes(data[start : start + length]) for start in range(0, len(data), length))


def _file(content: File, length: int) -> Iterator[bytes]:
    left = content.size
    with open(content.path, "rb", buffering=0) as source:
        while piece := source.read(min(left, length)):
            left -= len(piece)
            yield piece
        if more := source.read(1):
            yield more  # It has grown, which whoever counts will see.


def _stretch(content: Slice, length: int) -> Iterator[bytes]:
    with Path(content.path).open("rb", buffering=0) as source:
        source.seek(content.offset)
        left = content.size
        while left and (piece := source.read(min(left, length))):
            left -= len(piece)
            yield piece
