"""Zstandard: the tar in frames of 8 MiB, wherever they fall among its entries.

    ┌ 8 MiB of tar ┐┌ 8 MiB of tar ┐ … ┌ the rest ┐
    └ frame ───────┘└ frame ───────┘   └ frame ───┘

Frames are compressed each alone, so nothing larger is ever kept, and a reader may inflate several at once. What lies
deflated in a wheel is inflated for it, with the same checks as where it is copied. The tar is the one that gzip's
layers hold, so the diff ID is the same.

Source: RFC 8878; media type of OCI image-spec v1.1, layer.md.
"""

from __future__ import annotations

from collections.abc import Mapping

import zstandard

from builder.blob import Ahead, Blob
from builder.compression import Codec
from builder.content import Reading
from builder.tar import END
from builder.tree import Content, Entry

MEDIA_TYPE = "application/vnd.oci.image.layer.v1.tar+zstd"
PIECE = 0
RESERVED: frozenset[str] = frozenset()
_LEVEL = 3
_FRAME = 8 << 20


def codec() -> Codec:
    """See `builder.compression`."""
    return {
        "codec": "libzstd",
        "level": _LEVEL,
        "version": ".".join(map(str, zstandard.ZSTD_VERSION)),
        "frame": _FRAME,
        "format": "zstd-frames",
        "writer": 1,
    }


class Sink:
    """See `blob.Sink`; nothing of what was deflated ahead is of use here."""

    def __init__(self, blob: Blob, ahead: Ahead | None = None) -> None:
        del ahead
        self._blob = blob
        self._codec = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True, write_content_size=True)
        self._pending = bytearray()

    def begin(self, entry: Entry, header: bytes) -> None:
        self._add(header)

    def content(self, content: Content) -> bytes:
        reading = Reading(content)
        for data in reading:
            self._add(data)
        return reading.digest

    def pad(self, padding: bytes) -> None:
        self._add(padding)

    def finish(self) -> Mapping[str, str]:
        self._add(END)
        if self._pending:
            self._blob.emit(self._codec.compress(self._pending))
        return {}

    def _add(self, data: bytes) -> None:
        self._blob.feed(data)
        self._pending += data
        while len(self._pending) >= _FRAME:
            self._blob.emit(self._codec.compress(self._pending[:_FRAME]))
            del self._pending[:_FRAME]
