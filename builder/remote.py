"""A file on a server, of which only a few pieces are read: by HTTP ranges."""

from __future__ import annotations

import io
from typing import Protocol

from builder.errors import HostileInput
from builder.redaction import redact

_AHEAD = 64 << 10
_LIMIT = 16 << 20
"""Bytes: nothing that is read of such a file, a zip's directory or a small member, is longer than that."""


class Ranged(Protocol):
    """What `RemoteFile` needs of a client."""

    def range(self, url: str, start: int, end: int | None = None) -> tuple[bytes, int]: ...


class RemoteFile(io.RawIOBase):
    """A seekable file over HTTP ranges, read in pieces of 64 KiB at least; its end is read first.

    Raises:
        Unreachable: the server does no ranges.
    """

    def __init__(self, client: Ranged, url: str) -> None:
        super().__init__()
        self._client = client
        self._url = url
        tail, self.size = client.range(url, -_AHEAD)
        self._pieces = [(self.size - len(tail), tail)]
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(0, offset + (0, self._at, self.size)[whence])
        return self._at

    def read(self, size: int = -1, /) -> bytes:
        end = self.size if size < 0 else min(self.size, self._at + size)
        if end - self._at > _LIMIT:
            raise HostileInput(f"zip wants {end - self._at} bytes at once: {redact(self._url)}")
        data = self._between(self._at, end) if end > self._at else b""
        self._at += len(data)
        return data

    def _between(self, start: int, end: int) -> bytes:
        for first, piece in self._pieces:
            if first <= start and end <= first + len(piece):
                return piece[start - first : end - first]
        piece, _ = self._client.range(self._url, start, min(self.size, max(end, start + _AHEAD)))
        self._pieces.append((start, piece))
        return piece[: end - start]
