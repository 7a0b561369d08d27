"""Reading zstd that others wrote."""

from __future__ import annotations

import io
from typing import IO

import zstandard

_WINDOW = 128 << 20
"""Bytes a zstd frame may make us keep; its own tools ask for `--long` above that."""
_PIECE = 4 << 10
"""Bytes that are decompressed at a time: at worst four of them hold a block of 128 KiB (RFC 8878 §3.1.1.2)."""


class BadFrame(Exception):
    """It is no zstd, is cut off or damaged, or asks for too much memory."""


class Frames(io.RawIOBase):
    """What a series of zstd frames holds; the library's own reader takes a frame that is cut off for a short one.

    Raises:
        BadFrame: while it is read.
    """

    def __init__(self, packed: IO[bytes]) -> None:
        self._packed = packed
        self._frame: zstandard.ZstdDecompressionObj | None = None
        self._rest = b""
        self._data = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        while not self._data:
            packed = self._rest or self._packed.read(_PIECE)
            if not packed:
                if self._frame is not None:
                    raise BadFrame("it ends in the middle of a zstd frame")
                return 0
            self._frame = self._frame or zstandard.ZstdDecompressor(max_window_size=_WINDOW).decompressobj()
            try:
                self._data, self._rest = memoryview(self._frame.decompress(packed)), b""
            except zstandard.ZstdError as error:
                raise BadFrame(str(error)) from None
            if self._frame.eof:
                self._rest, self._frame = self._frame.unused_data, None
        taken, self._data = self._data[: len(buffer)], self._data[len(buffer) :]
        buffer[: len(taken)] = taken
        return len(taken)
