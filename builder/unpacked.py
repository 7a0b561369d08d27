"""Layers as folders on disk: a cache in the store's `roots/`, for mounting them.

The archive is read by a program in the sandbox whose root is the folder itself, so no entry of it can lead out.
"""

from __future__ import annotations

import fcntl
import io
import os
import shutil
import subprocess
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any, cast

from isal import igzip, isal_zlib

from builder.digest import Digest
from builder.errors import HostileInput, StackbuildError
from builder.frames import BadFrame, Frames
from builder.incoming import writing
from builder.removal import remove
from builder.settling import settle_tree
from builder.store import Store

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_CHUNK = 1 << 18
"""Bytes that are read at a time."""
_DAMAGED: tuple[type[Exception], ...] = (
    OSError,
    EOFError,
    cast(type[Exception], isal_zlib.error),  # Its stub has it as a variable.
    zlib.error,
    BadFrame,
)


class DecompressionError(Exception):
    """A blob is cut off or damaged."""


def folder(store: Store, name: str, fill: Callable[[Path, Path], None]) -> Path:
    """The folder `roots/<name>`, made by `fill(upper folder, workspace)` if it is not there."""
    final = store.path / "roots" / name
    if final.is_dir():
        with suppress(OSError):  # Its times stay, as it is a part of an image; that it was used shows its ctime.
            info = final.stat()
            os.utime(final, ns=(info.st_atime_ns, info.st_mtime_ns))
        return final
    with store.workspace() as workspace, store.locked(f"root-{name[:40]}"):
        if final.is_dir():
            return final
        upper = workspace / "upper"
        upper.mkdir()
        (workspace / "mount").mkdir()
        fill(upper, workspace / "mount")
        os.chmod(upper, 0o755)
        with writing(final):
            settle_tree(upper)  # Nobody hashes it again: after a power cut, half of a layer would pass for the whole.
            final.parent.mkdir(exist_ok=True)  # Who was short of disk may have removed all of them.
            # A setuid program in there is foreign, and would be everybody's on this machine.
            os.chmod(final.parent, 0o700)
            os.rename(upper, final)
    return final


def layers(store: Store, wanted: Iterable[Mapping[str, Any]]) -> tuple[Path, ...]:
    """Unpacked folders of layers, lowest first, as their results name them.

    Raises:
        HostileInput: a blob in the store has changed.
        StackbuildError: a foreign layer was not fetched.
    """
    return tuple(folder(store, "layer-" + Digest(layer["diff_id"]).hex, _filler(store, layer)) for layer in wanted)


@contextmanager
def held(folders: Iterable[Path]) -> Iterator[None]:
    """Keep folders from being collected as garbage meanwhile, without a lease of the whole store: a container may run
    for days."""
    with ExitStack() as stack:
        for path in folders:
            handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            stack.callback(os.close, handle)
            fcntl.flock(handle, fcntl.LOCK_SH)
        yield


def in_use(path: Path) -> bool:
    """Whether somebody holds a folder. What is no folder nobody holds."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # Held; or nobody can tell, as on file systems that lock no folders.
        return True
    finally:
        os.close(handle)
    return False


def forget(store: Store, name: str) -> None:
    """Drop one folder from the cache."""
    remove(store.path / "roots" / name)


@contextmanager
def decompressed(path: Path) -> Iterator[IO[bytes]]:
    """The tar of a layer's blob: gzip, zstd or plain, as its first bytes tell; foreign media types are not always true.

    Raises:
        DecompressionError: while it is read: the blob is cut off or damaged.
    """
    with path.open("rb") as blob:
        head = blob.read(len(_ZSTD))
        blob.seek(0)
        if head.startswith(_GZIP):
            with igzip.open(blob, "rb") as stream:  # type: ignore[no-untyped-call]
                yield _Guarded(stream)  # type: ignore[misc]
        elif head == _ZSTD:
            yield _Guarded(io.BufferedReader(Frames(blob), _CHUNK))  # type: ignore[misc]
        else:
            yield blob


class _Guarded:
    """A decompressor whose errors are ours, whatever library they come from."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def read(self, size: int = -1) -> bytes:
        try:
            return self._stream.read(size)
        except _DAMAGED as error:
            raise DecompressionError(str(error)) from None


def _filler(store: Store, layer: Mapping[str, Any]) -> Callable[[Path, Path], None]:
    def fill(upper: Path, workspace: Path) -> None:
        blob = store.blob(Digest(layer["digest"]))
        if not blob.exists():
            raise StackbuildError(
                f"layer {layer['name']} is not in the store",
                where=str(layer["digest"]),
                next_step="run the same command again: it is fetched or built anew",
            )
        unpack(store.checked(blob), str(layer["name"]), upper, workspace)

    return fill


def unpack(blob: Path, name: str, upper: Path, workspace: Path) -> None:
    """Unpack a layer's blob into the folder `upper`; `workspace` is empty, `name` the layer's for messages.

    Raises:
        HostileInput: the blob is cut off or damaged.
        StackbuildError: it cannot be unpacked.
    """
    # Looking into a layer must be possible on hosts that have no sandbox.
    from builder.sandbox import Command, Root, started

    command = Command(argv=("{}",), program="builder.untar", tmpfs=(), enter=True)
    with (
        started(
            Root(workspace=workspace, plain=upper), command, stdin=subprocess.PIPE, stderr=subprocess.PIPE
        ) as running,
        decompressed(blob) as stream,
    ):
        assert running.process.stdin is not None
        try:
            shutil.copyfileobj(stream, running.process.stdin, 1 << 20)
            running.process.stdin.close()
        except BrokenPipeError:
            pass
        except DecompressionError as error:
            raise HostileInput(f"layer {name} is damaged", got=str(error)) from None
        said = running.process.stderr.read() if running.process.stderr else b""
        if running.process.wait():
            raise StackbuildError(f"cannot unpack layer {name}", got=said.decode(errors="replace")[-500:])
