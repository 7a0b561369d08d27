"""Files of a root file system, read from outside without a program of its own.

Whatever is read was written by whoever made the image: links on the way are followed as the image sees them, never
out of the root.
"""

from __future__ import annotations

import base64
import hashlib
import os
import posixpath
from io import BufferedReader
from pathlib import Path

_HOPS = 40


class Files:
    """The files of a root file system, by its folder on the host."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._parents: dict[str, str | None] = {"/": "/"}

    def place(self, path: str) -> Path | None:
        """Where a path of the image lies on the host, the last part as it is; None where links lead nowhere."""
        parent = self._parent(posixpath.dirname(posixpath.normpath(path)))
        return (
            None if parent is None else self.folder / parent.strip("/") / posixpath.basename(posixpath.normpath(path))
        )

    def read(self, path: str, limit: int = 64 << 20) -> bytes | None:
        """The beginning of a file; None where there is none."""
        try:
            with self._open(path) as stream:
                return stream.read(limit)
        except OSError:
            return None

    def names(self, path: str) -> tuple[str, ...]:
        """What lies in a folder, sorted; nothing where there is none."""
        folder = self._parent(posixpath.normpath(path))
        try:
            return tuple(sorted(os.listdir(self.folder / folder.strip("/")))) if folder else ()
        except OSError:
            return ()

    def sha256(self, path: str) -> str | None:
        """The digest of a file as RECORD has it; None where there is no file."""
        try:
            with self._open(path) as stream:
                raw = hashlib.file_digest(stream, "sha256").digest()
        except OSError:
            return None
        return base64.urlsafe_b64encode(raw).decode().rstrip("=")

    def exists(self, path: str) -> bool:
        place = self.place(path)
        return place is not None and os.path.lexists(place)

    def _open(self, path: str) -> BufferedReader:
        place = self.place(path)
        if place is None:
            raise FileNotFoundError(path)
        return open(os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")

    def _parent(self, path: str, hops: int = _HOPS) -> str | None:
        """A folder's path with all links followed inside the root."""
        if path in self._parents:
            return self._parents[path]
        above = self._parent(posixpath.dirname(path), hops)
        found = None
        if above is not None and hops:
            found = posixpath.join(above, posixpath.basename(path))
            try:
                target = os.readlink(self.folder / found.strip("/"))
                found = self._parent(posixpath.normpath(posixpath.join(above, target)), hops - 1)
            except OSError:
                pass  # No link: the folder itself, or nothing.
        self._parents[path] = found
        return found
