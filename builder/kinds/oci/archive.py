"""Read a foreign layer: blob → decompressed → judged members, one pass, nothing written anywhere.

A layer comes from whoever pushed the image. Refused are names that lead out of the root, hard links to what the layer
does not hold, members below a link or a file of the same layer, whiteouts of a folder itself or its parent, devices,
sockets and pipes, sparse files, headers without an end, and more bytes or members than an image can have.

Source: OCI image-spec v1.1, layer.md; POSIX.1-2017, pax.
"""

from __future__ import annotations

import hashlib
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, Literal, TypeAlias, cast

from builder.digest import Digest
from builder.errors import HostileInput
from builder.guarded import Guarded
from builder.headers import BROKEN_TAR, Header
from builder.unpacked import DecompressionError, decompressed

MOST_BYTES = 128 << 30
"""Of one layer, decompressed."""
MOST_MEMBERS = 4_000_000

Kind: TypeAlias = Literal["dir", "file", "link", "hardlink", "whiteout", "opaque"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One judged member.

    Attributes:
        kind: `whiteout` hides `path` of the layers below, `opaque` all that they have below `path`.
        path: relative, in normal form; "" is the root folder.
        target: a link's text as it stands, or the path of a hard link's first name.
    """

    kind: Kind
    path: str
    info: tarfile.TarInfo
    target: str = ""


class Layer:
    """A layer that is read once: iterate to its end, then ask for its diff ID.

    Args:
        path: the blob, whose digest was checked.
        name: for errors.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self._name = name
        self._hasher = hashlib.sha256()
        self._tar: tarfile.TarFile | None = None
        self.raw = 0

    def __iter__(self) -> Iterator[Member]:
        """The members, in the archive's order.

        Raises:
            HostileInput: the blob is no layer, or one that may not be.
        """
        with _judged(self._name), decompressed(self._path) as stream:
            counted = _Counted(stream, self)
            with tarfile.open(
                fileobj=cast(IO[bytes], counted),
                mode="r|",
                tarinfo=Header,
                bufsize=1 << 20,
                errors="surrogateescape",
            ) as tar:
                self._tar = tar
                yield from _judge(tar, self._name)
                self._rest(tar)

    def _rest(self, tar: tarfile.TarFile) -> None:
        """What follows the end mark counts for the diff ID; were it more than zeros, readers might not agree on it."""
        assert tar.fileobj is not None
        while data := tar.fileobj.read(1 << 20):
            if data.strip(b"\0"):
                raise HostileInput(f"bytes follow the end of a layer: {self._name}")

    def content(self, member: Member) -> Guarded:
        """The bytes of the file that was yielded last."""
        assert self._tar is not None
        found = self._tar.extractfile(member.info)
        assert found is not None, member.path
        return Guarded(found, partial(_judged, self._name))

    @property
    def diff_id(self) -> Digest:
        """Of the bytes read so far; of the layer, once the iteration has come to its end."""
        return Digest("sha256:" + self._hasher.hexdigest())

    def counted(self, data: bytes) -> None:
        self.raw += len(data)
        if self.raw > MOST_BYTES:
            raise HostileInput(f"a layer without an end: {self._name}", expected=f"at most {MOST_BYTES} bytes")
        self._hasher.update(data)


class _Counted:
    """What tarfile reads from."""

    def __init__(self, stream: IO[bytes], layer: Layer) -> None:
        self._stream = stream
        self._layer = layer

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self._layer.counted(data)
        return data


@contextmanager
def _judged(name: str) -> Iterator[None]:
    """Tell as damage of the layer what its readers raise.

    Raises:
        HostileInput: it is none, or damaged.
    """
    try:
        yield
    except (DecompressionError, *BROKEN_TAR, EOFError, OSError, zlib.error, ValueError) as error:
        raise HostileInput(f"not a layer: {name}", got=f"{type(error).__name__}: {error}"[:200]) from None


def _judge(tar: tarfile.TarFile, name: str) -> Iterator[Member]:
    solid: set[str] = {""}  # Folders of this layer, or of the layers below as far as this one can tell.
    other: set[str] = set()
    for number, info in enumerate(tar):
        if number >= MOST_MEMBERS:
            raise HostileInput(f"a layer without an end: {name}", expected=f"at most {MOST_MEMBERS} members")
        cast(Any, tar).members.clear()  # tarfile remembers every one.
        path = _inside(info.name, name)
        parent, _, last = path.rpartition("/")
        _descend(parent, solid, other, name)
        if last.startswith(".wh."):
            member = _whiteout(parent, last, info, name)
            if member is not None:
                yield member
            continue
        if info.issparse() or not (info.isdir() or info.isreg() or info.issym() or info.islnk()):
            raise HostileInput(f"a device, socket, pipe or sparse file in a layer: /{path}", where=name)
        if info.isdir():
            other.discard(path)
            solid.add(path)
            yield Member(kind="dir", path=path, info=info)
            continue
        if not path or path in solid:
            raise HostileInput(f"a folder becomes something else in one layer: /{path}", where=name)
        target = ""
        if info.islnk():
            target = _inside(info.linkname, name)
            if target not in other:
                raise HostileInput(f"a hard link to what its layer does not hold: /{path}", where=name, got=target)
        elif info.issym():
            target = info.linkname
        other.add(path)
        kind: Kind = "hardlink" if info.islnk() else "link" if info.issym() else "file"
        yield Member(kind=kind, path=path, info=info, target=target)


def _inside(name: str, where: str) -> str:
    """A member's name in normal form. Some tools write a slash or `./` in front, which means the root."""
    parts = [part for part in name.split("/") if part not in {"", "."}]
    if ".." in parts or "\0" in name:
        raise HostileInput(f"unsafe path in a layer: {name!r}"[:300], where=where, expected="a path inside the root")
    return "/".join(parts)


def _descend(path: str, solid: set[str], other: set[str], where: str) -> None:
    """Everything on the way must be able to be a folder."""
    while path not in solid:
        if path in other:
            raise HostileInput(f"a layer goes through a link or a file of its own: /{path}", where=where)
        solid.add(path)
        path = path.rpartition("/")[0]


def _whiteout(parent: str, last: str, info: tarfile.TarInfo, where: str) -> Member | None:
    if last == ".wh..wh..opq":
        return Member(kind="opaque", path=parent, info=info)
    hidden = last.removeprefix(".wh.")
    if hidden.startswith(".wh."):
        return None  # AUFS kept its own notes so; every runtime passes over them.
    if hidden in {"", ".", ".."}:
        raise HostileInput(f"a whiteout of a folder itself or its parent: /{parent}/{last}", where=where)
    return Member(kind="whiteout", path=f"{parent}/{hidden}" if parent else hidden, info=info)
