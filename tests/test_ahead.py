"""Deflating ahead: it saves work, and changes no byte of a layer, whatever happens to the files in between."""

from __future__ import annotations

import hashlib
import os
import random
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from builder import ahead
from builder.action import Workshop
from builder.blob import Ahead, piece_key
from builder.compression import codec, estargz
from builder.compression.gzip import PIECE as CHUNK
from builder.compression.gzip import deflated
from builder.layer import write
from builder.scan import scan
from builder.store import Store

_SKIPPED = frozenset({"proc"})


def _deflate(root: Path, folder: Path, piece: int = CHUNK) -> Path:
    folder.mkdir()
    (folder / "wanted").touch()
    ahead.deflate(str(root), str(folder), _SKIPPED, piece)
    return folder


def _key(data: bytes) -> bytes:
    return piece_key(hashlib.sha256(data).digest(), len(data))


def _layer(store: Store, root: Path, found: Ahead | None, form: str = "gzip") -> bytes:
    entries = sorted(scan(str(root), {}), key=lambda entry: entry.path.encode())
    with store.new_blob() as incoming:
        return store.blob(write(entries, incoming, found, codec=codec(form)).digest).read_bytes()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Files of all sizes, names twice, content twice, one of several pieces."""
    root = tmp_path / "root"
    (root / "a/b").mkdir(parents=True)
    for number in range(40):
        (root / f"a/b/{number}").write_bytes(b"%d " % number * (number * 300))
    (root / "a/again").write_bytes(b"7 " * 2100)
    os.link(root / "a/b/9", root / "a/linked")
    draw = random.Random(1)
    (root / "large").write_bytes(b"".join(draw.randbytes(1 << 10) * 40 for _ in range(2 * CHUNK // (40 << 10) + 9)))
    (root / "a/target").symlink_to("b/9")
    return root


def test_pieces_are_found_by_their_content(root: Path, tmp_path: Path) -> None:
    found = ahead.reader(_deflate(root, tmp_path / "ahead"))
    assert found is not None
    whole = (root / "large").read_bytes()
    assert len(whole) > 2 * CHUNK
    for end in (CHUNK, 2 * CHUNK, len(whole)):
        piece = whole[(end - 1) // CHUNK * CHUNK : end]
        digest = hashlib.sha256(whole[:end]).digest()
        stream, crc = found(piece_key(digest, len(piece))) or (b"", 0)
        assert (bytes(stream), crc) == deflated(piece)
        assert found(piece_key(digest, len(piece) - 1)) is None
    assert found(_key(whole[CHUNK : 2 * CHUNK])) is None


def _nothing(root: Path) -> None: ...


def _in_place(root: Path) -> None:
    """Another byte, the same size, inode and mtime."""
    for name in ("a/b/9", "large"):
        info = (root / name).stat()
        with (root / name).open("r+b") as stream:
            stream.seek(info.st_size - 5)
            stream.write(b"X")
        os.utime(root / name, ns=(info.st_atime_ns, info.st_mtime_ns))


def _renamed(root: Path) -> None:
    (root / "a/b/20").rename(root / "moved")
    (root / "a/b/21").rename(root / "a/b/swap")
    (root / "a/b/22").rename(root / "a/b/21")
    (root / "a/b/swap").rename(root / "a/b/22")


def _replaced(root: Path) -> None:
    for name in ("a/b/11", "large"):
        (root / name).unlink()
        (root / name).write_bytes(b"another" * 1000)


def _removed(root: Path) -> None:
    (root / "large").unlink()
    (root / "a/b/30").unlink()


def _grown(root: Path) -> None:
    with (root / "large").open("ab") as stream:
        stream.write(b"more" * CHUNK)
    os.truncate(root / "a/b/15", 100)


@pytest.mark.parametrize("change", [_nothing, _in_place, _renamed, _replaced, _removed, _grown])
def test_layer_is_the_same_with_and_without(
    change: Callable[[Path], None], root: Path, tmp_path: Path, store: Store
) -> None:
    found = ahead.reader(_deflate(root, tmp_path / "ahead"))
    assert found is not None
    used = 0

    def counted(key: bytes) -> Any:
        nonlocal used
        answer = found(key)
        used += answer is not None
        return answer

    change(root)
    assert _layer(store, root, counted) == _layer(store, root, None)
    assert used >= 35


def test_nothing_but_regular_files_below_the_root_is_read(root: Path, tmp_path: Path) -> None:
    """A pipe would have it wait for ever, a link would lead out."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(b"not ours")
    (root / "proc").mkdir()
    (root / "proc/file").write_bytes(b"skipped")
    (root / "link").symlink_to(outside / "file")
    (root / "folder").symlink_to(outside)
    os.mkfifo(root / "pipe")
    found = ahead.reader(_deflate(root, tmp_path / "ahead"))
    assert found is not None
    for data in (b"not ours", b"skipped"):
        assert found(_key(data)) is None


def _workshop(store: Store, jobs: int, pool: ThreadPoolExecutor) -> Workshop:
    def heavy(function: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
        return pool.submit(function, *arguments)

    return Workshop(store=store, heavy=heavy, jobs=jobs, log=store.path / "log")


def test_begins_when_told(root: Path, tmp_path: Path, store: Store) -> None:
    with (
        ThreadPoolExecutor() as pool,
        ahead.deflating(_workshop(store, 2, pool), root, tmp_path / "ahead", _SKIPPED, codec("gzip")) as begin,
    ):
        assert begin is not None
        assert not (tmp_path / "ahead/streams").exists()
        begin.open("wb").close()
        while not (tmp_path / "ahead/table").exists():
            time.sleep(0.01)
    assert ahead.reader(tmp_path / "ahead") is not None


@pytest.mark.parametrize("jobs", [1, 2])
def test_never_told(jobs: int, root: Path, tmp_path: Path, store: Store) -> None:
    """Nor does the end of the block wait for it: a sandbox may fail before its program says anything."""
    with ThreadPoolExecutor() as pool:
        for number in range(30):
            folder = tmp_path / f"ahead-{number}"
            with ahead.deflating(_workshop(store, jobs, pool), root, folder, _SKIPPED, codec("gzip")) as begin:
                assert (begin is None) == (jobs == 1)
            assert ahead.reader(folder) is None


def test_a_format_that_deflates_nothing(root: Path, tmp_path: Path, store: Store) -> None:
    """Nothing is deflated for it, and what was is not used."""
    with (
        ThreadPoolExecutor() as pool,
        ahead.deflating(_workshop(store, 2, pool), root, tmp_path / "none", _SKIPPED, codec("zstd")) as begin,
    ):
        assert begin is None
    found = ahead.reader(_deflate(root, tmp_path / "ahead"))
    assert _layer(store, root, found, "zstd") == _layer(store, root, None, "zstd")


def test_chunks_of_an_estargz_layer_are_found(root: Path, tmp_path: Path, store: Store) -> None:
    """Each format has pieces of its own size."""
    found = ahead.reader(_deflate(root, tmp_path / "ahead", estargz.PIECE))
    assert found is not None
    used: list[bool] = []

    def counted(key: bytes) -> Any:
        used.append(found(key) is not None)
        return found(key)

    assert _layer(store, root, counted, "estargz") == _layer(store, root, None, "estargz")
    assert used.count(False) == 1, "all but the landmark"
    assert len(used) > 40 + 2 * CHUNK // estargz.PIECE


def test_told_to_stop(root: Path, tmp_path: Path) -> None:
    (tmp_path / "ahead").mkdir()
    ahead.deflate(str(root), str(tmp_path / "ahead"), _SKIPPED, CHUNK)
    assert ahead.reader(tmp_path / "ahead") is None


def test_priority_of_the_process_stays(root: Path, tmp_path: Path) -> None:
    before = os.getpriority(os.PRIO_PROCESS, 0)
    _deflate(root, tmp_path / "ahead")
    assert os.getpriority(os.PRIO_PROCESS, 0) == before
