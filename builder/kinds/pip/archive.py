"""A wheel as the zip archive that it is: where its members lie, how much there is of them, what is no wheel at all.

Foreign claims are checked here as far as the directory tells (names, offsets, overlaps, encryption, limits). No member
is opened but a small one whose bytes are needed at once.
"""

from __future__ import annotations

import csv
import hashlib
import struct
import zipfile
import zlib
from configparser import Error as ConfigError
from itertools import pairwise
from pathlib import Path

from installer.exceptions import InstallerError
from installer.records import InvalidRecordEntry
from installer.scripts import InvalidScript

from builder.errors import HostileInput
from builder.tree import Member, safe

_MEMBERS = 300_000
_ROOM, _RATIO = 4 << 30, 100
"""A wheel may unpack to 4 GiB and 100 times its own size."""
_LARGEST = 64 << 20
"""Bytes of a script, or of a file about the package: these are read into memory."""
_ENCRYPTED = 0x1 | 0x20 | 0x40 | 0x2000
"""Bits of the general purpose flag: encrypted, patched data, strong encryption, masked headers (APPNOTE 4.4.4)."""
MALFORMED = (
    zipfile.BadZipFile,
    InstallerError,
    InvalidRecordEntry,
    InvalidScript,
    AssertionError,  # `installer` asserts what entry_points.txt must be.
    ConfigError,
    csv.Error,
    zlib.error,
    EOFError,
    KeyError,
    RuntimeError,
    ValueError,
    struct.error,
)
"""Whatever the libraries raise for a malformed wheel."""


def malformed(filename: str, error: Exception) -> HostileInput:
    """One of `MALFORMED`, in our words."""
    got = (str(error) or type(error).__name__)[:400]
    return HostileInput(f"malformed wheel: {filename}", got=got, next_step="report it to the package's authors")


def limited(archive: zipfile.ZipFile, path: Path, filename: str) -> None:
    """Look at what a wheel's directory says that there is to be unpacked; that it is no more, who unpacks must see.

    Raises:
        HostileInput: that is more than any wheel of its size has.
    """
    infos, room = archive.infolist(), _ROOM + _RATIO * path.stat().st_size
    if len(infos) > _MEMBERS or sum(info.file_size for info in infos) > room:
        raise HostileInput(
            f"a wheel unpacks to more than any: {filename}", expected=f"at most {_MEMBERS} files of {room} bytes in all"
        )
    long = [info for info in infos if ".dist-info/" in info.filename and info.file_size > _LARGEST]
    if long:
        raise HostileInput(
            f"too large for a script or metadata: {long[0].filename}",
            where=filename,
            expected=f"at most {_LARGEST} bytes",
        )


def members(archive: zipfile.ZipFile, path: Path, filename: str) -> dict[str, Member]:
    """Where each member lies, from the central directory, held against the local headers (APPNOTE 4.3.7)."""
    found: dict[str, Member] = {}
    spans: list[tuple[int, int]] = []
    with path.open("rb") as stream:
        for info in archive.infolist():
            if info.filename.endswith("/"):
                continue
            where = f"{filename}: {info.filename}"
            if safe(info.filename, where) != info.filename:
                raise HostileInput(f"unsafe path: {info.filename!r}", where=filename)
            if info.filename in found:
                raise HostileInput(f"a member stands twice: {where}")
            if info.flag_bits & _ENCRYPTED or info.compress_type not in {0, 8}:
                raise HostileInput(f"encrypted, or compressed in a way no wheel may be: {where}")
            if (info.external_attr >> 16) & 0o170000 == 0o120000:
                raise HostileInput(f"a link in a wheel: {where}", expected="files only (PEP 427)")
            stream.seek(max(0, info.header_offset))
            header = stream.read(30) if info.header_offset >= 0 else b""
            if len(header) != 30 or header[:4] != b"PK\x03\x04":
                raise HostileInput(f"no local header where the directory says: {where}")
            name_size, extra_size = struct.unpack_from("<HH", header, 26)
            local = stream.read(name_size)
            if local not in {info.filename.encode(), info.filename.encode("cp437", "replace")}:
                raise HostileInput(f"local and central names differ: {where}", got=repr(local))
            offset = info.header_offset + 30 + name_size + extra_size
            spans.append((info.header_offset, offset + info.compress_size))
            found[info.filename] = Member(
                str(path), offset, info.compress_size, info.file_size, info.CRC, info.compress_type, None, where
            )
    spans = [*sorted(spans), (archive.start_dir, archive.start_dir)]
    for (_, end), (start, _) in pairwise(spans):
        if start < end:
            raise HostileInput(f"members overlap: {filename}")
    return found


def inflated(member: Member, limit: int = _LARGEST) -> bytes:
    """A small member's bytes (scripts, metadata).

    Raises:
        HostileInput: it is larger than `limit`, or not what the directory and RECORD say.
    """
    if member.size > limit:
        raise HostileInput(f"too large for a script or metadata: {member.name}", expected=f"at most {limit} bytes")
    with Path(member.archive).open("rb") as stream:
        stream.seek(member.offset)
        data = stream.read(member.packed)
    if member.method == 8:
        inflater = zlib.decompressobj(-15)
        data = inflater.decompress(data, member.size + 1)
    if len(data) != member.size or zlib.crc32(data) != member.crc:
        raise HostileInput(f"a wheel is not what it claims: {member.name}", got="other bytes than its directory says")
    if member.digest and hashlib.sha256(data).digest() != member.digest:
        raise HostileInput(f"a wheel is not what it claims: {member.name}", got="its bytes differ from RECORD")
    return data
