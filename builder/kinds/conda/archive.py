"""The containers of conda packages → plain tars on disk → their members.

    numpy-2.1.0-py312_0.conda      a zip (stored) of metadata.json, info-….tar.zst and pkg-….tar.zst   (CEP 35)
    numpy-2.1.0-py312_0.tar.bz2    one tar of everything, what describes the package below info/

A tar is decompressed into one file and its members are read where they lie in it: nothing is unpacked to paths that
the package names. What is hostile is refused here as far as a tar alone can tell.
"""

from __future__ import annotations

import bz2
import io
import json
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from builder.errors import HostileInput, StackbuildError
from builder.frames import BadFrame, Frames
from builder.headers import BROKEN_TAR, Header, bounded
from builder.tree import safe

_CHUNK = 1 << 20
_ROOM = 1 << 30
_RATIO = 64
"""A package may unpack to 1 GiB and 64 times its own size: text at its most regular stays far below."""
_MEMBERS = 500_000
"""The largest packages that are published have some 100,000 files."""

_MALFORMED = (
    zipfile.BadZipFile,
    *BROKEN_TAR,
    BadFrame,
    zlib.error,
    json.JSONDecodeError,
    EOFError,
    KeyError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    UnicodeError,
    ValueError,
)
"""Whatever the libraries raise for a malformed package."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One member of a tar, as it lies there.

    Attributes:
        path: in normal form.
        mode: permission bits; `mtime` seconds.
        target: text of a link.
        archive: the decompressed tar; `offset` and `size` of the content in it, bytes.
        first: of a hard link, the path whose content it shares; else the own path.
    """

    path: str
    kind: Literal["file", "link", "dir"]
    mode: int
    mtime: int
    target: str
    archive: str
    offset: int
    size: int
    first: str


@contextmanager
def judged(filename: str) -> Iterator[None]:
    """Say in our words that a package is malformed, whatever library noticed it.

    Raises:
        HostileInput: it is.
    """
    try:
        yield
    except OSError as error:
        if error.errno is not None:  # The disk's; what bz2 refuses has no number.
            raise StackbuildError(f"cannot unpack {filename}", got=str(error.strerror)) from None
        raise malformed(filename, str(error)) from None
    except _MALFORMED as error:
        raise malformed(filename, str(error) or type(error).__name__) from None


def malformed(filename: str, got: str) -> HostileInput:
    """A package that is none, in our words."""
    return HostileInput(
        f"malformed conda package: {filename}", got=got[:400], next_step="report it to the package's authors"
    )


def unpack(path: Path, filename: str, folder: Path) -> tuple[Path, ...]:
    """Decompress a package into one or two tars in an empty folder.

    Args:
        path: the package, its digest already checked; `filename` its own name.

    Raises:
        HostileInput: it is malformed, or unpacks to more than a package may.
    """
    limit = _ROOM + _RATIO * path.stat().st_size
    with judged(filename):
        if filename.endswith(".conda"):
            return tuple(_zipped(path, filename, folder, limit))
        with bz2.open(path) as stream:
            return (_written(stream, folder / "all.tar", filename, limit),)


def _zipped(path: Path, filename: str, folder: Path, limit: int) -> Iterator[Path]:
    with path.open("rb") as stream, zipfile.ZipFile(bounded(stream)) as archive:
        for part in ("info", "pkg"):
            found = [
                one
                for one in archive.infolist()
                if one.filename.startswith(f"{part}-") and one.filename.endswith(".tar.zst")
            ]
            if len(found) != 1 or found[0].compress_type != zipfile.ZIP_STORED:
                raise malformed(filename, f"{len(found)} stored members {part}-….tar.zst, where there is to be one")
            with archive.open(found[0]) as packed:
                written = _written(io.BufferedReader(Frames(packed), _CHUNK), folder / f"{part}.tar", filename, limit)
                limit -= written.stat().st_size
                yield written


def _written(stream: IO[bytes], path: Path, filename: str, limit: int) -> Path:
    with path.open("xb") as file:
        while data := stream.read(_CHUNK):
            limit -= len(data)
            if limit < 0:
                raise malformed(filename, "it unpacks to more than a package of its size may")
            file.write(data)
    return path


def members(tars: tuple[Path, ...], filename: str) -> dict[str, Stored]:
    """The members of a package's tars by path, folders included.

    Raises:
        HostileInput: an unsafe path, one that stands twice, a device, a hard link to nothing, too many members.
    """
    found: dict[str, Stored] = {}
    with judged(filename):
        for path in tars:
            with tarfile.open(path, "r:", tarinfo=Header) as archive:
                for info in archive:
                    if len(found) >= _MEMBERS:
                        raise malformed(filename, f"it has more than {_MEMBERS} members")
                    if info.isdir() and not info.name.strip("./"):
                        continue
                    one = _member(info, str(path), filename, found)
                    if one.path in found and not one.kind == found[one.path].kind == "dir":
                        raise HostileInput(f"a path stands twice: {one.path}", where=filename)
                    found[one.path] = one
    return found


def _member(info: tarfile.TarInfo, archive: str, filename: str, found: dict[str, Stored]) -> Stored:
    path = safe(info.name, filename)
    first = path
    offset, size = info.offset_data, info.size
    kind: Literal["file", "link", "dir"]
    if info.issym():
        kind = "link"
    elif info.isdir():
        kind = "dir"
    elif info.islnk():
        kind = "file"
        other = found.get(safe(info.linkname, filename))
        if other is None or other.kind != "file" or other.archive != archive:
            raise HostileInput(f"a hard link to what is not there: {path}", where=filename, got=info.linkname[:200])
        first, offset, size = other.first, other.offset, other.size
    elif info.isreg() and not info.issparse():
        kind = "file"
    else:
        raise HostileInput(f"a device, pipe or sparse file in a conda package: {path}", where=filename)
    return Stored(
        path=path,
        kind=kind,
        mode=info.mode & 0o7777,
        mtime=int(info.mtime),
        target=info.linkname if kind == "link" else "",
        archive=archive,
        offset=offset,
        size=size,
        first=first,
    )


def content(member: Stored) -> bytes:
    """A member's bytes."""
    with Path(member.archive).open("rb") as stream:
        stream.seek(member.offset)
        data = stream.read(member.size)
    if len(data) != member.size:
        raise HostileInput(f"a member is cut off: {member.path}")
    return data
