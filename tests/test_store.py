"""The store: whole or not at all, whatever happens to the process, the disk or the bits."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from builder.digest import Digest
from builder.errors import HostileInput, StackbuildError
from builder.plan import intact
from builder.store import Store, default_path
from tests.tools import remount


def source(store: Store, data: bytes) -> Digest:
    digest = Digest.of(data)
    with store.new_source() as incoming:
        incoming.write(data)
        incoming.commit(digest)
    return digest


def flip(path: Path, at: int = 0) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_default_path() -> None:
    assert default_path({"STACKBUILD_STORE": "/x", "HOME": "/h"}) == Path("/x")
    assert default_path({"XDG_CACHE_HOME": "/c", "HOME": "/h"}) == Path("/c/stackbuild")
    assert default_path({"HOME": "/h"}) == Path("/h/.cache/stackbuild")


def test_new_store_is_an_image_layout(store: Store) -> None:
    assert json.loads((store.path / "images/oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    assert json.loads((store.path / "images/index.json").read_text()) == {"manifests": [], "schemaVersion": 2}


def test_what_is_not_committed_vanishes(store: Store) -> None:
    with store.new_source() as incoming:
        incoming.write(b"half")
    with pytest.raises(RuntimeError), store.new_blob() as incoming:
        incoming.write(b"half")
        raise RuntimeError
    found = {path.name for path in store.path.rglob("*") if path.is_file()}
    assert found == {"oci-layout", "index.json", "version", "index"}


def test_committed_file_is_readable_by_all(store: Store) -> None:
    old = os.umask(0o077)
    try:
        path = store.source(source(store, b"x"))
    finally:
        os.umask(old)
    assert path.stat().st_mode & 0o777 == 0o644


def test_flipped_bit_in_a_source(store: Store) -> None:
    path = store.source(source(store, b"wheel"))
    flip(path)
    with pytest.raises(HostileInput, match="a file in the store has changed") as caught:
        store.checked(path)
    assert "it was removed" in caught.value.got
    assert not path.exists()
    with pytest.raises(StackbuildError, match="gone from the store"):
        store.checked(path)


def test_flipped_bit_in_a_small_blob_is_healed_by_writing_it_again(store: Store) -> None:
    """A damaged config or manifest stayed, as a blob of its digest was there already."""
    digest = store.put_blob(b'{"config":1}')
    flip(store.blob(digest))
    assert store.put_blob(b'{"config":1}') == digest
    assert store.checked(store.blob(digest)).read_bytes() == b'{"config":1}'


def test_image_whose_config_is_gone_is_stale(store: Store) -> None:
    """Only the manifest was looked for, so an image without its config counted as built and never started again."""
    manifest, config = store.put_blob(b"{}"), store.put_blob(b"[]")
    key = Digest.of(b"image")
    store.put_action(key, {}, {"manifest": {"digest": manifest}, "config": config, "layers": []})
    assert intact(store, key)
    store.blob(config).unlink()
    assert not intact(store, key)


def test_every_flipped_bit_of_an_action_makes_it_none(store: Store) -> None:
    """A flipped bit can leave valid JSON with another digest in it, or with another name for "layers"."""
    key = Digest.of(b"action")
    store.put_action(key, {"a": 1}, {"layers": [], "x": "é"})
    assert store.action(key) == {"document": {"a": 1}, "result": {"layers": [], "x": "é"}}
    path = store.path / "actions" / f"{key.hex}.json"
    whole = path.read_bytes()
    assert json.loads(whole)["result"] == {"layers": [], "x": "é"}
    for at in range(len(whole)):
        flip(path, at)
        assert store.action(key) is None, at
        path.write_bytes(whole)
    assert store.action(key) is not None


@pytest.mark.parametrize(
    "data", [b"", b"{", b"null", b'{"result":', b"\xff\xfe", b"[]", b'{"document":{},"result":{}}']
)
def test_damaged_action_counts_as_none(data: bytes, store: Store) -> None:
    key = Digest.of(b"action")
    (store.path / "actions" / f"{key.hex}.json").write_bytes(data)
    assert store.action(key) is None
    assert not intact(store, key)


def test_store_of_another_format(store: Store) -> None:
    (store.path / "version").write_text("99\n")
    with pytest.raises(StackbuildError, match="has another format") as caught:
        Store.open(store.path)
    assert (caught.value.expected, caught.value.got) == ("1", "99")


@pytest.mark.parametrize("content", [b"\xff\xfe", b""])
def test_store_whose_version_is_damaged(content: bytes, store: Store) -> None:
    (store.path / "version").write_bytes(content)
    with pytest.raises(StackbuildError, match="has another format"):
        Store.open(store.path)


def test_store_path_is_a_file(tmp_path: Path) -> None:
    """The operating system's error came through, which names no store."""
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file/below"):
        with pytest.raises(StackbuildError, match="the store") as caught:
            Store.open(path)
        assert "STACKBUILD_STORE" in caught.value.next_step


def test_read_only_store(small_disk: Path) -> None:
    """The error was the operating system's, about a temporary file."""
    store = Store.open(small_disk / "store")
    remount(small_disk, "ro")
    reopened = Store.open(store.path)
    for write in (
        lambda: source(reopened, b"x"),
        lambda: reopened.put_blob(b"x"),
        lambda: reopened.put_action(Digest.of(b"x"), {}, {}),
        lambda: reopened.images.tag("x", {}),
        lambda: reopened.workspace().__enter__(),
    ):
        with pytest.raises(StackbuildError, match="cannot write to the store") as caught:
            write()
        assert "Read-only file system" in caught.value.got
    with pytest.raises(StackbuildError, match="cannot create the store"):
        Store.open(small_disk / "other")


@pytest.mark.parametrize("piece", [1 << 10, 1 << 22])
def test_full_disk(piece: int, small_disk: Path) -> None:
    store = Store.open(small_disk / "store")
    data = random.Random(1).randbytes(4 << 20)
    kept = source(store, b"earlier")

    def fill() -> Digest:
        with store.new_source() as incoming:
            for at in range(0, len(data), piece):
                incoming.write(data[at : at + piece])
            incoming.commit(Digest.of(data))
        return Digest.of(data)

    with pytest.raises(StackbuildError) as caught:
        fill()
    assert caught.value.what == "the disk of the store is full"
    assert "what was finished is kept" in caught.value.got
    assert [path.name for path in (store.path / "sources/sha256").iterdir()] == [kept.hex]
    assert not list((store.path / "tmp").glob("tmp*"))
    remount(small_disk, "size=16m")
    assert store.checked(store.source(fill())).read_bytes() == data


def test_full_disk_while_an_action_is_noted(small_disk: Path) -> None:
    store = Store.open(small_disk / "store")
    with pytest.raises(StackbuildError, match="disk of the store is full"):
        store.put_action(Digest.of(b"x"), {}, {"x": "y" * (4 << 20)})
    assert store.action(Digest.of(b"x")) is None
    assert list((store.path / "actions").iterdir()) == []


def test_sweep_leaves_what_is_in_use(store: Store) -> None:
    store.sweep()
    with store.workspace() as workspace, store.new_source() as incoming, store.locked("mine"):
        (workspace / "file").write_text("x")
        incoming.write(b"data")
        assert store.sweep() == 0
        assert (workspace / "file").read_text() == "x"
        assert (store.path / "tmp/mine.lock").exists()
        incoming.commit(Digest.of(b"data"))
    assert store.source(Digest.of(b"data")).read_bytes() == b"data"
    store.sweep()
    assert list((store.path / "tmp").iterdir()) == []


def test_lock_that_is_swept_still_excludes(store: Store) -> None:
    """Removing a lock's file under a waiting process would let two in at once."""
    inside, most = 0, 0
    counter = threading.Lock()

    def work() -> None:
        nonlocal inside, most
        for _ in range(50):
            with store.locked("x"):
                with counter:
                    inside += 1
                    most = max(most, inside)
                time.sleep(0.0002)
                with counter:
                    inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for one in threads:
        one.start()
    while any(one.is_alive() for one in threads):
        store.sweep()
    assert most == 1


def test_sweeping_takes_nothing_from_those_who_begin(store: Store) -> None:
    """A folder that was made but not yet locked was removed under its owner's feet."""
    problems: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(40):
                with store.workspace() as folder:
                    (folder / "x").write_text("x")
                source(store, f"{number}-{turn}".encode())
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for one in threads:
        one.start()
    while any(one.is_alive() for one in threads):
        store.sweep()
    assert problems == []


_WRITER = """
import os, random, sys
from pathlib import Path
from builder.digest import Digest
from builder.store import Store
store, draw, number = Store.open(Path(sys.argv[1])), random.Random(int(sys.argv[2])), 0
print("ready", flush=True)
while True:
    number += 1
    data = draw.randbytes(draw.randrange(1 << 18))
    for incoming in (store.new_source(), store.new_blob()):
        with incoming:
            for at in range(0, len(data), 5000):
                incoming.write(data[at : at + 5000])
            incoming.commit(Digest.of(data))
    store.put_action(Digest.of(b"%d" % number), {"n": number}, {"layers": []})
    store.images.tag(f"tag-{number % 5}", {"digest": Digest.of(data), "size": len(data)})
    with store.workspace() as folder:
        (folder / "rubbish").write_bytes(data)
"""


def test_kill_9_leaves_nothing_half_written(tmp_path: Path) -> None:
    """Temporary files of killed processes stayed in tmp/ for ever: only folders were swept."""
    path = tmp_path / "store"
    draw = random.Random(20)
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    left, seed = 0, 0
    while seed < 12 or len(list((path / "sources/sha256").iterdir())) < 12:  # On a busy machine each one writes less.
        seed += 1
        command = [sys.executable, "-c", _WRITER, str(path), str(seed)]
        with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(draw.uniform(0.0, 0.08))
            process.send_signal(signal.SIGKILL)
        left += len(list((path / "tmp").iterdir()))
    store = Store.open(path)
    files = [*(path / "sources/sha256").iterdir(), *(path / "images/blobs/sha256").iterdir()]
    assert len(files) > 10
    assert all(Digest.of(file.read_bytes()).hex == file.name for file in files)
    actions = list((path / "actions").iterdir())
    assert actions
    assert all(store.action(Digest("sha256:" + one.stem)) for one in actions)
    assert "tag-1" in store.images.tags()
    assert left > 0
    store.sweep()
    assert list((path / "tmp").iterdir()) == []


def test_workspace_survives_a_removed_folder(store: Store) -> None:
    with store.workspace() as folder:
        shutil.rmtree(folder)
    assert not folder.exists()
