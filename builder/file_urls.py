"""`file:` URLs: what a client reads from disk, with the errors of one that asks a server."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from builder import limits
from builder.errors import Unreachable


def path_of(url: str) -> Path | None:
    """The file that a URL names; None for a URL of another scheme."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None  # The client says what it is not.
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


def read(path: Path, most: int) -> bytes:
    """The bytes of the file, of which there may be so many.

    Raises:
        Unreachable: it cannot be read.
        HostileInput: there are more.
    """
    try:
        return limits.read(path, most, "file")
    except OSError as error:
        raise _unreadable(path, error) from None


def opened(path: Path) -> BinaryIO:
    """The file, as a stream.

    Raises:
        Unreachable: it cannot be read.
    """
    try:
        return path.open("rb")
    except OSError as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: OSError) -> Unreachable:
    return Unreachable(f"cannot read {path}", got=str(error.strerror))
