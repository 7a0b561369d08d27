"""Tree → tar → compressed blob, in one pass: the only tar writer.

    header of a      content of a          padding of a, header of b     content of b     …  end
    └ gzip member ┘  └ gzip member ┘       └ gzip member ──────────┘     └ gzip member ┘

A gzip file may be a series of members (RFC 1952 §2.2). A wheel's members are deflate streams already, so their
content is *spliced*: the stream is copied as it lies in the wheel, between a gzip header and a trailer of our own,
after it was inflated once, which proves it (size, CRC-32, RECORD's sha256, and that it ends exactly where the wheel
says) and feeds the diff ID. All other content goes through one pinned codec, a member per file (of a large file, per
16 MiB). The codec is libdeflate at its fastest level: igzip is twice as fast, but what it wrote for equal input
differed by a few bytes now and then; igzip inflates, where there is only one right answer.

Drawbacks: about 40 bytes more per file than one long stream, no matches across files, and readers that stop at a
first gzip member (some scanners) see only a header.

Tar entries are POSIX ustar with pax records where a field does not fit (POSIX.1-2017, pax, "pax Interchange Format").
"""

from __future__ import annotations

import hashlib
import mmap
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import TypeAlias

import deflate
from isal import igzip_lib, isal_zlib

from builder.digest import Digest, Json
from builder.errors import HostileInput
from builder.store import Incoming
from builder.tree import Bytes, Content, Entry, File, Member, Slice

MEDIA_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
_LEVEL = 1
_GZIP = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
CHUNK = 1 << 24
"""Content of a file is deflated in pieces of at most so many bytes."""
_SMALL = 1 << 14
"""Members of fewer bytes are written in one piece, as joining them costs less than three writes."""
_BLOCK = 512
_TYPES = {"file": b"0", "hardlink": b"1", "link": b"2", "dir": b"5", "whiteout": b"0"}
_HEADER = struct.Struct("100s8s8s8s12s12s8s1s100s6s2s32s32s8s8s155s12x")


def codec() -> Json:
    """What decides a layer's bytes beside its entries; part of every layer's document."""
    return {
        "codec": "libdeflate",
        "level": _LEVEL,
        "version": version("deflate"),
        "chunk": CHUNK,
        "format": "gzip-members",
        "writer": 3,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A layer in the store.

    Attributes:
        digest: of the compressed blob; `size` its bytes.
        diff_id: of the tar; `raw` its bytes.
        listing: one line per entry (`mode uid:gid size digest-or-target path owner`), in tar order.
    """

    digest: Digest
    diff_id: Digest
    size: int
    raw: int
    listing: str

    def descriptor(self) -> dict[str, Json]:
        """OCI content descriptor (image-spec v1.1, descriptor.md)."""
        return {"mediaType": MEDIA_TYPE, "digest": self.digest, "size": self.size}


Deflated: TypeAlias = tuple[bytes | bytearray | memoryview, int]
"""A deflate stream, and the CRC-32 of what it inflates to."""
Ahead: TypeAlias = Callable[[bytes], Deflated | None]
"""Finds a piece of content that went through `deflated` before, by its `piece_key`."""


def deflated(data: bytes) -> Deflated:
    """One piece of content through the pinned codec."""
    return deflate.deflate_compress(data, _LEVEL), isal_zlib.crc32(data)


def piece_key(digest: bytes, size: int) -> bytes:
    """What names a piece: the sha256 of its file's content up to the piece's end, and the piece's bytes."""
    return digest + size.to_bytes(4, "big")


def write(entries: Iterable[Entry], incoming: Incoming, ahead: Ahead | None = None) -> Written:
    """Write sorted entries as one compressed layer and commit it.

    Args:
        ahead: saves time, and makes no difference to what is written.

    Raises:
        HostileInput: a wheel's member is not what its wheel claims; nothing was kept then.
    """
    sink = _Sink(incoming, ahead)
    lines: list[str] = []
    for entry in entries:
        mark = ""
        if entry.kind == "file" and entry.content is not None:
            sink.plain(_headers(entry, entry.content.size))
            digest = sink.content(entry.content)
            if isinstance(entry.content, Slice) and entry.content.digest not in {None, digest}:
                raise _differs(entry, entry.content.digest, digest)
            mark = digest.hex()[:32]
            sink.pad(entry.content.size)
        else:
            sink.plain(_headers(entry, 0))
            mark = entry.target and f"-> {entry.target}"
        lines.append(_line(entry, mark))
    sink.plain(bytes(2 * _BLOCK))
    return sink.finish("".join(lines))


def _line(entry: Entry, mark: str) -> str:
    size = entry.content.size if entry.content else 0
    head = f"{entry.kind} {entry.mode:04o} {entry.uid}:{entry.gid} {size} {escaped(mark) or '-'}"
    return f"{head}\t{escaped(entry.path)}\t{entry.owner}\n"


def escaped(text: str) -> str:
    """Text for a field of an entry list: a Debian package may name a file with a tab or a newline in it."""
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")


class _Sink:
    """The growing blob: every byte goes to the diff ID before, and to the digest after compression."""

    def __init__(self, incoming: Incoming, ahead: Ahead | None) -> None:
        self._incoming = incoming
        self._ahead = ahead or (lambda _: None)
        self._diff = hashlib.sha256()
        self._blob = hashlib.sha256()
        self._raw = 0
        self._size = 0
        self._pending = b""

    def plain(self, data: bytes) -> None:
        """Our own small bytes; kept until content follows, so that padding and header are one member."""
        self._pending += data

    def pad(self, size: int) -> None:
        self._pending += bytes(-size % _BLOCK)

    def content(self, content: Content) -> bytes:
        """One file's content as a member of its own; returns its sha256."""
        self._flush()
        if content.size == 0 and not isinstance(content, Member):
            return hashlib.sha256().digest()
        if isinstance(content, Member):
            return self._spliced(content)
        if isinstance(content, Bytes):
            pieces = (content.data[n : n + CHUNK] for n in range(0, content.size, CHUNK))
            return self._encoded(pieces, content.size)
        if isinstance(content, Slice):
            return self._encoded(_stretch(content), content.size)
        return self._encoded(_pieces(content), content.size)

    def finish(self, listing: str) -> Written:
        self._flush()
        digest = Digest("sha256:" + self._blob.hexdigest())
        self._incoming.commit(digest)
        return Written(
            digest=digest,
            diff_id=Digest("sha256:" + self._diff.hexdigest()),
            size=self._size,
            raw=self._raw,
            listing=listing,
        )

    def _flush(self) -> None:
        data, self._pending = self._pending, b""
        if data:
            self._diff.update(data)
            self._raw += len(data)
            self._member(deflated(data), len(data))

    def _encoded(self, pieces: Iterator[bytes], size: int) -> bytes:
        """Content that no wheel has deflated: a member for each piece, so that no file must fit into memory."""
        own, done = hashlib.sha256(), 0
        for piece in pieces:
            own.update(piece)
            self._diff.update(piece)
            done += len(piece)
            self._member(self._ahead(piece_key(own.digest(), len(piece))) or deflated(piece), len(piece))
        if done != size:
            raise HostileInput(
                "a file changed while it was written to a layer", expected=f"{size} bytes", got=f"{done}"
            )
        self._raw += size
        return own.digest()

    def _member(self, packed: Deflated, size: int) -> None:
        stream, crc = packed
        if len(stream) < _SMALL:
            self._emit(b"".join((_GZIP, stream, _trailer(crc, size))))
        else:
            for piece in (_GZIP, stream, _trailer(crc, size)):
                self._emit(piece)

    def _spliced(self, member: Member) -> bytes:
        """Copy a deflate stream after inflating it once; every claim about it is checked on the way."""
        view = memoryview(_mapped(member.archive))[member.offset : member.offset + member.packed]
        if len(view) != member.packed:
            raise _lies(member, "its data runs past the end of the wheel")
        if member.method == 0:
            if member.size != member.packed:
                raise _lies(member, f"it holds {member.packed} bytes, its directory says {member.size}")
            own = self._encoded((bytes(view[n : n + CHUNK]) for n in range(0, len(view), CHUNK)), member.size)
            _judge(member, own, isal_zlib.crc32(view), len(view))
            return own
        try:
            own, done, crc = self._inflate(member, view)
        except igzip_lib.IsalError as error:  # type: ignore[misc]  # The stub has it as a variable.
            raise _lies(member, f"its deflate stream is damaged ({error})") from None
        _judge(member, own, crc, done)
        self._raw += done
        self._member((view, crc), done)
        return own

    def _inflate(self, member: Member, view: memoryview) -> tuple[bytes, int, int]:
        """Feed a member's bytes to the diff ID; their sha256, count and CRC-32."""
        own_hash, crc, done = hashlib.sha256(), 0, 0
        inflater = isal_zlib.decompressobj(-15)
        for start in range(0, max(len(view), 1), CHUNK):
            piece = inflater.decompress(view[start : start + CHUNK], member.size - done + 1)
            while True:
                own_hash.update(piece)
                self._diff.update(piece)
                crc = isal_zlib.crc32(piece, crc)
                done += len(piece)
                if done > member.size:
                    raise _lies(member, f"it inflates to more than {member.size} bytes")
                if inflater.eof or not inflater.unconsumed_tail:
                    break
                piece = inflater.decompress(inflater.unconsumed_tail, member.size - done + 1)
            if inflater.eof and (inflater.unused_data or start + CHUNK < len(view)):
                raise _lies(member, "bytes follow the end of its deflate stream")
        if not inflater.eof:
            raise _lies(member, "its deflate stream does not end")
        return own_hash.digest(), done, crc

    def _emit(self, data: bytes | bytearray | memoryview) -> None:
        self._blob.update(data)
        self._incoming.write(data)
        self._size += len(data)


def _judge(member: Member, digest: bytes, crc: int, size: int) -> None:
    if size != member.size:
        raise _lies(member, f"it holds {size} bytes, its directory says {member.size}")
    if crc != member.crc:
        raise _lies(member, "its CRC-32 is not the one in the directory")
    if member.digest is not None and digest != member.digest:
        raise _lies(member, f"RECORD says sha256 {member.digest.hex()[:16]}…, it has {digest.hex()[:16]}…")


def _differs(entry: Entry, claim: bytes | None, digest: bytes) -> HostileInput:
    return HostileInput(
        f"a package is not what it claims: {entry.owner}",
        where=entry.path,
        expected=f"sha256 {claim.hex()[:16]}…" if claim else "",
        got=f"sha256 {digest.hex()[:16]}…; nothing was kept",
        next_step="report it to the package's authors, and pin another version",
    )


def _lies(member: Member, got: str) -> HostileInput:
    return HostileInput(
        f"a wheel is not what it claims: {member.name}",
        got=got + "; nothing was kept",
        next_step="report it to the package's authors, and pin another version",
    )


@lru_cache(maxsize=64)
def _mapped(path: str) -> mmap.mmap:
    with Path(path).open("rb") as stream:
        return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)


def _pieces(content: File) -> Iterator[bytes]:
    left = content.size
    with open(content.path, "rb", buffering=0) as stream:
        while piece := stream.read(min(left, CHUNK)):
            left -= len(piece)
            yield piece
        if more := stream.read(1):
            yield more  # It has grown, which whoever counts will see.


def _stretch(content: Slice) -> Iterator[bytes]:
    with Path(content.path).open("rb", buffering=0) as stream:
        stream.seek(content.offset)
        left = content.size
        while left and (piece := stream.read(min(left, CHUNK))):
            left -= len(piece)
            yield piece


def _trailer(crc: int, size: int) -> bytes:
    return struct.pack("<II", crc, size & 0xFFFFFFFF)


# Tar headers -----------------------------------------------------------------------------------------------------


def _headers(entry: Entry, size: int) -> bytes:
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
        pax += body + bytes(-len(body) % _BLOCK)
    claimed = size if size < 8 << 30 else 0
    return pax + _block(
        name[:100], entry.mode, entry.uid, entry.gid, claimed, entry.mtime, _TYPES[entry.kind], link[:100]
    )


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
