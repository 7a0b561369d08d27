"""Reading Debian packages: deb(5), deb-control(5). Standard library only, as it also runs inside the sandbox."""

from __future__ import annotations

import gzip
import io
import lzma
import re
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from builder.headers import BROKEN_TAR, Header

MAGIC = b"!<arch>\n"
_CONTROL_LIMIT = 64 << 20
_MEMBERS = 1_000_000
_ROOM, _RATIO = 1 << 28, 200
"""A package may unpack to 256 MiB and 200 times its size: what is packed best, text by xz, reaches 30 times."""
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+")
_ARCHITECTURE = re.compile(r"[a-z0-9-]+")


class BadDeb(Exception):
    """A file is no well-formed Debian package, or brings what no package may bring."""


@dataclass(frozen=True)
class Deb:
    """An opened package.

    Attributes:
        path: where the file lies.
        control: the paragraph of its control file, fields in order.
        members: the other members of the control archive: name → (mode, bytes).
        data: (name, offset, size) of the data archive inside the file.
    """

    path: str
    control: str
    members: dict[str, tuple[int, bytes]]
    data: tuple[str, int, int]

    def field(self, name: str) -> str:
        """One field's first line; "" where the package has none."""
        for line in self.control.splitlines():
            if line.lower().startswith(name.lower() + ":"):
                return line.partition(":")[2].strip()
        return ""

    @property
    def key(self) -> str:
        """The name of its files in dpkg's info folder: `bash`, or `libc6:amd64` for Multi-Arch: same."""
        name = self.field("Package")
        return f"{name}:{self.field('Architecture')}" if self.field("Multi-Arch") == "same" else name

    def conffiles(self) -> list[str]:
        lines = self.members.get("conffiles", (0, b""))[1].decode().split("\n")
        return [line.strip() for line in lines if line.startswith("/")]

    def triggers(self) -> list[tuple[str, str]]:
        """(directive, trigger) pairs, deb-triggers(5)."""
        found = []
        for line in self.members.get("triggers", (0, b""))[1].decode().splitlines():
            words = line.split("#")[0].split()
            if len(words) == 2:
                found.append((words[0], words[1]))
        return found


def read(path: str) -> Deb:
    """Open a package and read its control archive.

    Raises:
        BadDeb: it is not well formed.
    """
    with _judged(path):
        return _read(path)


@contextmanager
def _judged(path: str) -> Iterator[None]:
    """Tell as damage of the package what its readers raise.

    Raises:
        BadDeb: it cannot be read.
    """
    try:
        yield
    except (*BROKEN_TAR, lzma.LZMAError, gzip.BadGzipFile, zlib.error, EOFError, ValueError) as error:
        raise BadDeb(f"{path}: {error or type(error).__name__}") from None


def _read(path: str) -> Deb:
    with open(path, "rb") as stream:
        found = ar_members(stream, path)
        control = next((name for name in found if name.startswith("control.tar")), None)
        data = next((name for name in found if name.startswith("data.tar")), None)
        if control is None or data is None or "debian-binary" not in found:
            raise BadDeb(f"{path}: a member of the package is missing, it has {sorted(found)}")
        offset, size = found[control]
        stream.seek(offset)
        with reader(control, io.BytesIO(stream.read(size))) as unpacked:
            raw = unpacked.read(_CONTROL_LIMIT + 1)
    if len(raw) > _CONTROL_LIMIT:
        raise BadDeb(f"{path}: its control archive is larger than {_CONTROL_LIMIT} bytes")
    members: dict[str, tuple[int, bytes]] = {}
    with tarfile.open(fileobj=io.BytesIO(raw), mode="r:", tarinfo=Header) as archive:
        for member in archive:
            if member.isreg():
                content = archive.extractfile(member)
                name = member.name.removeprefix("./")
                if "/" in name or not content:
                    raise BadDeb(f"{path}: unexpected control member {member.name!r}")
                members[name] = (member.mode & 0o777, content.read())
    if "control" not in members:
        raise BadDeb(f"{path}: it has no control file")
    deb = Deb(path, members.pop("control")[1].decode(), members, (data, *found[data]))
    if not _PACKAGE.fullmatch(deb.field("Package")) or not _ARCHITECTURE.fullmatch(deb.field("Architecture")):
        raise BadDeb(f"{path}: its control file names no package and architecture")
    return deb


def ar_members(stream: IO[bytes], path: str) -> dict[str, tuple[int, int]]:
    """The members of a package's ar archive: name → (offset, size) in the file, bytes.

    Raises:
        BadDeb: it is not well formed.
    """
    if stream.read(8) != MAGIC:
        raise BadDeb(f"{path}: no Debian package (its ar magic is missing)")
    found: dict[str, tuple[int, int]] = {}
    while header := stream.read(60):
        if len(header) != 60 or header[58:] != b"`\n":
            raise BadDeb(f"{path}: damaged ar header")
        name = header[:16].decode("ascii", "replace").strip().rstrip("/")
        if not header[48:58].strip().isdigit():
            raise BadDeb(f"{path}: damaged ar header")
        size = int(header[48:58])
        found[name] = (stream.tell(), size)
        stream.seek(size + size % 2, 1)
    return found


def ar_header(name: str, size: int) -> bytes:
    """What stands before a member of `size` bytes, which nobody owns and no time is told of."""
    return b"%-16s%-12d%-6d%-6d%-8s%-10d`\n" % (name.encode(), 0, 0, 0, b"100644", size)


class Part(io.RawIOBase):
    """A member of a package's ar archive, or any part of a file, as a file of its own."""

    def __init__(self, stream: IO[bytes], offset: int, size: int) -> None:
        self._stream = stream
        self._offset = offset
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0, /) -> int:
        self._at = max(0, (0, self._at, self._size)[whence] + offset)
        return self._at

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        self._stream.seek(self._offset + self._at)
        data = self._stream.read(max(0, min(len(buffer), self._size - self._at)))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def reader(name: str, raw: io.BytesIO) -> io.BufferedIOBase:
    """What is packed in a member of that name, never more of it in memory than is read."""
    if name.endswith(".xz"):
        return lzma.LZMAFile(raw)
    if name.endswith(".gz"):
        return gzip.GzipFile(fileobj=raw)
    if name.endswith(".tar"):
        return raw
    raise BadDeb(f"{name}: this compression is not supported; supported are xz, gz and none")


class Metered(io.RawIOBase):
    """A stream of what a package unpacks to, which ends with an error where a bomb begins.

    Args:
        size: bytes of the package's archive, packed.

    Raises:
        BadDeb: while it is read: it unpacks to far more than that.
    """

    def __init__(self, inner: io.BufferedIOBase, size: int) -> None:
        self._inner = inner
        self._room = _ROOM + _RATIO * size
        self._left = self._room

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        data = self._inner.read(len(buffer))
        self._left -= len(data)
        if self._left < 0:
            raise BadDeb(f"it unpacks to far more than its size, to over {self._room} bytes")
        buffer[: len(data)] = data
        return len(data)


def entries(deb: Deb) -> Iterator[tuple[tarfile.TarInfo, tarfile.TarFile]]:
    """The members of the data archive, in its order, while their content can be read.

    Raises:
        TarError, LZMAError, zlib.error, EOFError, OSError, ValueError: it is damaged; `unpack` says what was read then.
    """
    name, offset, size = deb.data
    with open(deb.path, "rb") as stream:
        stream.seek(offset)
        raw = io.BytesIO(stream.read(size))
    with tarfile.open(fileobj=Metered(reader(name, raw), size), mode="r|", bufsize=1 << 16, tarinfo=Header) as archive:
        for number, member in enumerate(archive):
            if number >= _MEMBERS:
                raise BadDeb(f"{deb.path}: it has more than {_MEMBERS} members")
            yield member, archive
