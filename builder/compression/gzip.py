"""Gzip, a member for each file's content, by splicing: what a wheel has deflated is copied.

    header of a      content of a          padding of a, header of b     content of b     …  end
    └ gzip member ┘  └ gzip member ┘       └ gzip member ──────────┘     └ gzip member ┘

A gzip file may be a series of members (RFC 1952 §2.2). A wheel's members are deflate streams already, so their
content is *spliced*: the stream is copied as it lies in the wheel, between a gzip header and a trailer of our own,
after it was inflated once, which proves it and feeds the diff ID. All other content goes through one pinned codec, a
member per file (of a large file, per 16 MiB). The codec is libdeflate at its fastest level: igzip is twice as fast, but
what it wrote for equal input differed by a few bytes now and then; igzip inflates, where there is one right answer.

Drawbacks: about 40 bytes more per file than one long stream, no matches across files, and readers that stop at a
first gzip member (some scanners) see only a header.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from importlib.metadata import version

import deflate
from isal import isal_zlib

from builder.blob import Ahead, Blob, Deflated, piece_key
from builder.compression import Codec
from builder.content import Reading, stream
from builder.tar import END
from builder.tree import Content, Entry, Member

MEDIA_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
PIECE = 1 << 24
RESERVED: frozenset[str] = frozenset()
LEVEL = 1
_GZIP = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
_SMALL = 1 << 14
"""Members of fewer bytes are written in one piece, as joining them costs less than three writes."""


def codec() -> Codec:
    """See `builder.compression`."""
    return {
        "codec": "libdeflate",
        "level": LEVEL,
        "version": version("deflate"),
        "chunk": PIECE,
        "format": "gzip-members",
        "writer": 3,
    }


def deflated(data: bytes, level: int = LEVEL) -> Deflated:
    """Some bytes through the pinned codec."""
    return deflate.deflate_compress(data, level), isal_zlib.crc32(data)


class Sink:
    """See `blob.Sink`."""

    piece = PIECE

    def __init__(self, blob: Blob, ahead: Ahead | None = None) -> None:
        self._blob = blob
        self._ahead = ahead or (lambda _: None)
        self._pending = b""

    def begin(self, entry: Entry, header: bytes) -> None:
        """Kept until content follows, so that padding and header are one member."""
        self._pending += header

    def pad(self, padding: bytes) -> None:
        self._pending += padding

    def content(self, content: Content) -> bytes:
        self._flush()
        if content.size == 0 and not isinstance(content, Member):
            return hashlib.sha256().digest()
        if isinstance(content, Member) and self._splices(content):
            return self._spliced(content)
        return self._encoded(content)

    def finish(self) -> Mapping[str, str]:
        self._pending += END
        self._flush()
        return {}

    def _splices(self, member: Member) -> bool:
        return member.method != 0

    def _wrote(self, offset: int, size: int, data: bytes | None) -> None:
        """Content of `size` bytes is a member at `offset` of the blob; `data` unless it was spliced."""

    def _flush(self) -> None:
        data, self._pending = self._pending, b""
        if data:
            self._blob.feed(data)
            self._member(deflated(data), len(data))

    def _encoded(self, content: Content) -> bytes:
        """Content that no wheel has deflated: a member for each piece, so that no file must fit into memory."""
        reading = Reading(content, self.piece)
        for data in reading:
            self._blob.feed(data)
            offset = self._blob.size
            self._member(self._ahead(piece_key(reading.digest, len(data))) or deflated(data), len(data))
            self._wrote(offset, len(data), data)
        return reading.digest

    def _spliced(self, member: Member) -> bytes:
        """Copy a deflate stream after inflating it once."""
        reading, before = Reading(member), self._blob.raw
        for data in reading:
            self._blob.feed(data)
        size, offset = self._blob.raw - before, self._blob.size
        self._member((stream(member), reading.crc), size)
        self._wrote(offset, size, None)
        return reading.digest

    def _member(self, packed: Deflated, size: int) -> None:
        deflated_, crc = packed
        trailer = struct.pack("<II", crc, size & 0xFFFFFFFF)
        if len(deflated_) < _SMALL:
            self._blob.emit(b"".join((_GZIP, deflated_, trailer)))
        else:
            for piece in (_GZIP, deflated_, trailer):
                self._blob.emit(piece)
