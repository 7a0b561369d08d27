"""Deflate ahead: while package scripts still run, which is one after the other, an idle core deflates what lies there.

    root ──▶ streams   deflated pieces, end to end, from the layer writer's own codec
             table     a row for each piece: its key, where its stream lies, its CRC-32

A piece's key is made of its file's content up to the piece's end (`blob.piece_key`), which the layer writer has at
hand when it comes to that piece. Names, times and inodes do not matter: what is changed, moved, replaced or removed
in between is found if and only if its bytes are, so a layer's bytes are the same with and without.

The folder is being changed by package scripts, which are not trusted: no link in it is followed, and nothing but
regular files is read.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import stat
import struct
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Any

from builder import compression
from builder.action import Workshop
from builder.background import background
from builder.blob import Ahead, Deflated, piece_key
from builder.compression import Codec, gzip

_ROW = struct.Struct("<36sQQI")


@contextmanager
def deflating(
    workshop: Workshop, root: Path, folder: Path, skipped: frozenset[str], codec: Codec
) -> Iterator[Path | None]:
    """Deflate ahead from the moment that somebody opens and closes the FIFO that is given, to the end of the block.

    The FIFO is None where all cores have something to do, or the layers' format deflates nothing.

    Args:
        folder: will be made, and hold streams and table.
        skipped: top-level names of `root` that are left out.
        codec: how the layers will be compressed.
    """
    length = compression.of(codec).PIECE
    if workshop.jobs == 1 or not length:
        yield None
        return
    folder.mkdir()
    fifo, wanted = folder / "begin", folder / "wanted"
    os.mkfifo(fifo)
    wanted.touch()
    running: list[Future[Any]] = []

    def wait() -> None:
        with fifo.open("rb", buffering=0) as stream:  # Blocks until somebody opens it.
            stream.read(1)  # Blocks until it is closed.
        if wanted.exists():
            running.append(workshop.heavy(deflate, str(root), str(folder), skipped, length))

    waiting = Thread(target=wait, daemon=True)
    waiting.start()
    try:
        yield fifo
    finally:
        wanted.unlink()
        with os.fdopen(os.open(fifo, os.O_RDWR), "wb", buffering=0) as stream:  # Does not block (fifo(7)).
            stream.write(b"x")
            waiting.join()
        for future in running:
            if not future.cancel():
                future.result()


def deflate(root: str, folder: str, skipped: frozenset[str], length: int) -> None:
    """Deflate regular files below `root` at low priority, as long as `folder` holds a file named `wanted`.

    Args:
        length: bytes of a piece.
    """
    worker = Thread(target=_deflate, args=(root, folder, skipped, length))
    worker.start()
    worker.join()


def reader(folder: Path) -> Ahead | None:
    """What was deflated ahead, for `layer.write`; None if nothing was. The folder need not be there."""
    try:
        table = (folder / "table").read_bytes()
        with (folder / "streams").open("rb") as stream:
            streams = memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
    except FileNotFoundError:
        return None
    rows = {row[0]: row for row in _ROW.iter_unpack(table)}

    def find(key: bytes) -> Deflated | None:
        row = rows.get(key)
        return (streams[row[1] : row[2]], row[3]) if row else None

    return find


def _deflate(root: str, folder: str, skipped: frozenset[str], length: int) -> None:
    background()  # This thread alone: the process has other work later.
    table: dict[bytes, bytes] = {}
    try:
        with open(f"{folder}/streams", "xb") as streams:
            for key, piece in _pieces(root, skipped, length):
                if not os.path.exists(f"{folder}/wanted"):
                    break
                if key not in table:
                    start, (packed, crc) = streams.tell(), gzip.deflated(piece)
                    streams.write(packed)
                    table[key] = _ROW.pack(key, start, streams.tell(), crc)
        if table:
            Path(folder, "new").write_bytes(b"".join(table.values()))
            os.rename(f"{folder}/new", f"{folder}/table")
    except OSError:
        return  # There is no room for it: the layer writer finds no table.


def _pieces(root: str, skipped: frozenset[str], length: int) -> Iterator[tuple[bytes, bytes]]:
    """Key and bytes of each piece of each regular file, a file with several names once."""
    top, seen = os.open(root, os.O_RDONLY | os.O_DIRECTORY), set()
    for handle in _files(top, skipped):
        with os.fdopen(handle, "rb", buffering=0) as stream:
            info = os.fstat(handle)
            if info.st_ino not in seen:
                seen.add(info.st_ino)
                digest, limit = hashlib.sha256(), min(length, info.st_size + 1)
                while piece := stream.read(limit):
                    digest.update(piece)
                    yield piece_key(digest.digest(), len(piece)), piece


def _files(folder: int, skipped: frozenset[str] = frozenset()) -> Iterator[int]:
    """Open every file below a folder that is open, which is closed then; what goes away meanwhile is passed over."""
    try:
        with os.scandir(folder) as listing:
            found = [one for one in listing if one.name not in skipped and not one.is_symlink()]
        for one in found:
            inner = one.is_dir(follow_symlinks=False)
            with suppress(OSError):
                kind = os.O_DIRECTORY if inner else os.O_NONBLOCK
                handle = os.open(one.name, os.O_RDONLY | os.O_NOFOLLOW | kind, dir_fd=folder)
                if inner:
                    yield from _files(handle)
                elif stat.S_ISREG(os.fstat(handle).st_mode):
                    yield handle
                else:
                    os.close(handle)
    finally:
        os.close(folder)
