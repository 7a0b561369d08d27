"""Entries → tar headers: POSIX ustar, with pax records where a field does not fit.

Source: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Interchange Format".
"""

from __future__ import annotations

import struct

from builder.tree import Entry

BLOCK = 512
END = bytes(2 * BLOCK)
"""What a tar ends with."""
_TYPES = {"file": b"0", "hardlink": b"1", "link": b"2", "dir": b"5", "whiteout": b"0"}
_HEADER = struct.Struct("100s8s8s8s12s12s8s1s100s6s2s32s32s8s8s155s12x")


def headers(entry: Entry, size: int) -> bytes:
    """What stands in front of an entry's content of `size` bytes."""
    name = tar_name(entry).encode("utf-8", "surrogateescape")
    link = entry.target.encode("utf-8", "surrogateescape")
    records: list[tuple[bytes, bytes]] = []
    if len(name) > 100 or not name.isascii():
        records.append((b"path", name))
    if len(link) > 100 or not link.isascii():
        records.append((b"linkpath", link))
    if size >= 8 << 30:
        records.append((b"size", str(size).encode()))
    for label, value in entry.xattrs:
        records.append((b"SCHILY.xattr." + label.encode(), value))
    pax = b""
    if records:
        body = b"".join(_record(label, value) for label, value in records)
        pax = _block(b"./PaxHeaders/" + name[-80:], 0o644, 0, 0, len(body), entry.mtime, b"x", b"")
        pax += body + padding(len(body))
    claimed = size if size < 8 << 30 else 0
    return pax + _block(
        name[:100], entry.mode, entry.uid, entry.gid, claimed, entry.mtime, _TYPES[entry.kind], link[:100]
    )


def padding(size: int) -> bytes:
    """What follows content of `size` bytes."""
    return bytes(-size % BLOCK)


def tar_name(entry: Entry) -> str:
    """The entry's name in the tar: `./` for the root, `a/.wh.b` for a whiteout (OCI image-spec v1.1, layer.md)."""
    if entry.kind == "whiteout":
        folder, _, name = entry.path.rpartition("/")
        return f"{folder}/.wh.{name}" if folder else f".wh.{name}"
    if entry.kind == "dir":
        return entry.path + "/" if entry.path else "./"
    return entry.path


def _record(label: bytes, value: bytes) -> bytes:
    """A pax record; its decimal length counts itself."""
    rest = len(label) + len(value) + 3
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return b"%d %s=%s\n" % (length, label, value)


def _block(
    name: bytes, mode: int, uid: int, gid: int, size: int, mtime: int, kind: bytes, link: bytes
) -> bytes:  # the fields of one ustar header, in its order
    fields = (
        name,
        b"%07o\0" % (mode & 0o7777),
        _octal(uid),
        _octal(gid),
        b"%011o\0" % size,
        b"%011o\0" % mtime,
        b"        ",
        kind,
        link,
        b"ustar\0",
        b"00",
        b"",
        b"",
        b"0000000\0",
        b"0000000\0",
        b"",
    )
    block = _HEADER.pack(*fields)
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def _octal(number: int) -> bytes:
    """7 octal digits, or GNU's base-256 form for ids that need more."""
    if number < 1 << 21:
        return b"%07o\0" % number
    return b"\x80" + number.to_bytes(7, "big")
