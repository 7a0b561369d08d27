"""Small files that unpack to far more than any machine has, each made in a moment.

Formats that let streams follow one another are given one stream of 64 MiB so many times; a deflate stream in a zip is
made of equal pieces that end at a byte (RFC 1951, Z_FULL_FLUSH).
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zlib
from collections.abc import Callable
from functools import cache

import zstandard

PIECE = 64 << 20
TIMES = 160
"""So many pieces are 10 GiB."""
_PACK: dict[str, Callable[[bytes], bytes]] = {
    "gz": lambda data: gzip.compress(data, 9, mtime=0),
    "bz2": bz2.compress,
    "xz": lambda data: lzma.compress(data, preset=0),
    "zst": zstandard.ZstdCompressor().compress,
    "": bytes,
}


@cache
def zeros(form: str, times: int = TIMES) -> bytes:
    """10 GiB of zeros, packed as `form`: gz, bz2, xz or zst."""
    return _PACK[form](bytes(PIECE)) * times


def tar_of_zeros(form: str, name: str, times: int = TIMES) -> bytes:
    """A tar with one member of 8 GiB less a byte, packed; or of what `times` pieces are, and cut off."""
    return _PACK[form](_header(name, tarfile.REGTYPE)) + zeros(form, times)


def tar_of_a_header(form: str) -> bytes:
    """A tar whose first member's extended header is 8 GiB long: readers of tar take it into memory whole."""
    return _PACK[form](_header("././@PaxHeader", tarfile.XHDTYPE)) + zeros(form)


def tar_of_members(form: str, name: str, count: int = 1_000_000) -> bytes:
    """A tar of so many empty files, packed; all of them have the one name."""
    header = tarfile.TarInfo(name).tobuf()
    if form == "gz":  # One stream: of several, tarfile's own reader takes the first.
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        piece = packer.compress(header * 1000) + packer.flush(zlib.Z_FULL_FLUSH)
        return b"\x1f\x8b\x08\0\0\0\0\0\0\3" + piece * (count // 1000) + b"\3\0" + bytes(8)
    return _PACK[form](header * 1000) * (count // 1000)


def _header(name: str, kind: bytes) -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, (8 << 30) - 1
    return info.tobuf(tarfile.USTAR_FORMAT)


@cache
def _deflated(times: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    piece = packer.compress(bytes(PIECE)) + packer.flush(zlib.Z_FULL_FLUSH)
    return piece * times + b"\x03\x00"


def zip_of_zeros(name: str, claimed: int, times: int = TIMES) -> bytes:
    """A zip with one member of 10 GiB, which its directory says has `claimed` bytes."""
    data = _deflated(times)
    return _zip([(name.encode(), 8, data, claimed)])


def zip_of_members(name: str, count: int = 1_000_000) -> bytes:
    """A zip whose directory names one empty member so many times."""
    return _zip([(name.encode(), 0, b"", 0)], count)


def _zip(members: list[tuple[bytes, int, bytes, int]], count: int = 1) -> bytes:
    out, directory = io.BytesIO(), b""
    for name, method, data, claimed in members:
        rest = struct.pack("<HHHHHIIIHH", 20, 0, method, 0, 33, 0, len(data), claimed, len(name), 0)
        directory += b"PK\x01\x02" + struct.pack("<H", 20) + rest + struct.pack("<HHHII", 0, 0, 0, 0, out.tell()) + name
        out.write(b"PK\x03\x04" + rest + name + data)
    start, directory = out.tell(), directory * count
    total = min(0xFFFF, len(members) * count)
    out.write(directory + struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, total, total, len(directory), start, 0))
    return out.getvalue()
