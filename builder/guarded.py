"""The content of an archive's member, read after the archive's reader has let go of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol


class Readable(Protocol):
    def read(self, size: int = ..., /) -> bytes: ...


class Guarded:
    """A stream whose damage is told as that of the archive.

    Args:
        judged: makes the archive's error of what its libraries raise.
    """

    def __init__(self, inner: Readable, judged: Callable[[], AbstractContextManager[None]]) -> None:
        self._inner = inner
        self._judged = judged

    def read(self, size: int = -1, /) -> bytes:
        with self._judged():
            return self._inner.read(size)
