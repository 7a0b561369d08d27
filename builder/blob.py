"""A layer's blob while it grows, and who makes it grow."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Protocol, TypeAlias

from builder.digest import Digest
from builder.incoming import Incoming
from builder.tree import Content, Entry

Deflated: TypeAlias = tuple[bytes | bytearray | memoryview, int]
"""A deflate stream, and the CRC-32 of what it inflates to."""
Ahead: TypeAlias = Callable[[bytes], Deflated | None]
"""Finds a piece of content that was deflated before, by its `piece_key`."""


def piece_key(digest: bytes, size: int) -> bytes:
    """What names a piece: the sha256 of its file's content up to the piece's end, and the piece's bytes."""
    return digest + size.to_bytes(4, "big")


class Blob:
    """Every byte of the tar goes to the diff ID, every byte that is written to the digest.

    Attributes:
        raw: bytes of the tar so far; `size` of what was written.
    """

    def __init__(self, incoming: Incoming) -> None:
        self._incoming = incoming
        self._diff = hashlib.sha256()
        self._blob = hashlib.sha256()
        self.raw = 0
        self.size = 0

    def feed(self, data: bytes | bytearray) -> None:
        """Bytes of the tar, in its order."""
        self._diff.update(data)
        self.raw += len(data)

    def emit(self, data: bytes | bytearray | memoryview) -> None:
        """Compressed bytes."""
        self._blob.update(data)
        self._incoming.write(data)
        self.size += len(data)

    @property
    def diff_id(self) -> Digest:
        return Digest("sha256:" + self._diff.hexdigest())

    def commit(self) -> Digest:
        """Let the blob appear in the store; its digest."""
        digest = Digest("sha256:" + self._blob.hexdigest())
        self._incoming.commit(digest)
        return digest


class Sink(Protocol):
    """Compresses a tar into a blob, entry by entry: `begin`, then for a file `content` and `pad`; `finish` at last."""

    def begin(self, entry: Entry, header: bytes) -> None:
        """An entry's tar header."""

    def content(self, content: Content) -> bytes:
        """A file's content; its sha256.

        Raises:
            HostileInput: it is not what was claimed of it.
        """

    def pad(self, padding: bytes) -> None:
        """The zeros after a file's content."""

    def finish(self) -> Mapping[str, str]:
        """The end of the tar, and of the blob; annotations for the layer's descriptor."""
