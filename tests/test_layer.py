"""A layer read back by other tools is the tree; what it promises of itself holds."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import subprocess
import tarfile
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from builder import listing, unpacked
from builder.compression import codec
from builder.digest import Digest
from builder.errors import HostileInput
from builder.layer import Written, write
from builder.scan import scan
from builder.store import Store
from builder.tar import headers
from builder.tree import Bytes, Entry, File, Member
from tests.entry_trees import SAMPLE, read_back, trees
from tests.tools import Host


def written(store: Store, entries: list[Entry]) -> tuple[Written, bytes]:
    with store.new_blob() as incoming:
        layer = write(entries, incoming)
    return layer, store.blob(layer.digest).read_bytes()


@settings(max_examples=150)
@given(trees())
def test_tar_read_back_is_the_tree(tmp_path_factory: pytest.TempPathFactory, entries: list[Entry]) -> None:
    store = Store.open(tmp_path_factory.getbasetemp() / "store")
    layer, blob = written(store, entries)
    raw = gzip.decompress(blob)
    assert read_back(raw) == entries
    assert layer.diff_id == Digest.of(raw)
    assert layer.digest == Digest.of(blob)
    assert (layer.size, layer.raw) == (len(blob), len(raw))
    assert layer.raw % 512 == 0
    assert written(store, entries)[0] == layer


@settings(max_examples=60)
@given(trees())
def test_listing_says_what_the_layer_holds(tmp_path_factory: pytest.TempPathFactory, entries: list[Entry]) -> None:
    """Names with tabs and newlines broke the list, which is one line an entry, and with it every later build."""
    store = Store.open(tmp_path_factory.getbasetemp() / "store")
    text = written(store, entries)[0].listing.encode("utf-8", "surrogateescape")
    with store.new_source() as incoming:
        incoming.write(text)
        incoming.commit(Digest.of(text))
    found = list(listing.read(store, {"name": "x", "listing": Digest.of(text)}))
    assert [(one.kind, one.path, int(one.mode, 8)) for one in found] == [
        (entry.kind, entry.path, entry.mode) for entry in entries
    ]
    for one, entry in zip(found, entries, strict=True):
        if isinstance(entry.content, Bytes):
            assert one.mark == hashlib.sha256(entry.content.data).hexdigest()[:32]
        elif entry.target:
            assert one.mark == f"-> {entry.target}"


def test_gzip_and_tar_agree(store: Store, tmp_path: Path) -> None:
    layer, blob = written(store, SAMPLE)
    raw = subprocess.run(["gzip", "-dc"], input=blob, check=True, stdout=subprocess.PIPE).stdout
    assert Digest.of(raw) == layer.diff_id
    said = subprocess.run(
        ["tar", "--numeric-owner", "--quoting-style=literal", "-tf", "-"],
        input=raw, check=True, stdout=subprocess.PIPE, env={**os.environ, "LC_ALL": "C.UTF-8"},
    ).stdout.decode()  # fmt: skip
    for entry in SAMPLE:
        assert (entry.path.replace("opaque/.wh.", "opaque/.wh..wh.") in said) or entry.kind == "whiteout"
    assert "b/.wh..gone\n" in said
    assert "b/opaque/.wh..wh..opq\n" in said
    (tmp_path / "out").mkdir()
    subprocess.run(["tar", "-xf", "-", "-C", str(tmp_path / "out"), "--no-same-owner"], input=raw, check=True)
    assert (tmp_path / "out/a/ýhard").stat().st_ino == (tmp_path / "out/a/ünïcode ☃").stat().st_ino
    assert (tmp_path / "out/a/ünïcode ☃").stat().st_mtime == 12345


def test_each_part_is_a_gzip_member(store: Store) -> None:
    """What lazily pulled images need, and what lets wheels be spliced (RFC 1952 §2.2)."""
    _, blob = written(store, SAMPLE)
    members = 0
    while blob:
        inflater = zlib.decompressobj(31)
        inflater.decompress(blob)
        blob = inflater.unused_data
        members += 1
    assert members > sum(bool(entry.content and entry.content.size) for entry in SAMPLE)


def test_content_from_files_and_memory_is_one(store: Store, tmp_path: Path) -> None:
    data = os.urandom(1 << 16) * 300
    (tmp_path / "f").write_bytes(data)
    one, _ = written(store, [Entry("x", "file", content=Bytes(data))])
    two, _ = written(store, [Entry("x", "file", content=File(str(tmp_path / "f"), len(data)))])
    assert one.diff_id == two.diff_id
    assert one.digest == two.digest


@pytest.mark.parametrize("size", [0, 5, 7, 1 << 25])
def test_file_that_changes_meanwhile(size: int, store: Store, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(bytes(size))
    with pytest.raises(HostileInput, match="changed while it was written"):
        written(store, [Entry("x", "file", content=File(str(tmp_path / "f"), 6))])
    assert not list((store.path / "images/blobs/sha256").iterdir())


def test_sizes_that_need_pax(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """8 GiB and more do not fit the ustar field."""
    for size in ((8 << 30) - 1, 8 << 30, 9 << 30):
        header = headers(Entry("x", "file"), size)
        info = tarfile.TarFile.open(fileobj=io.BytesIO(header + bytes(10240)), mode="r:").next()
        assert info is not None
        assert info.size == size


def test_document_names_what_decides_the_bytes() -> None:
    found = codec("gzip")
    assert {"codec", "level", "version", "format", "writer"} <= set(found)


def test_member_that_runs_past_the_wheel(store: Store, tmp_path: Path) -> None:
    (tmp_path / "w").write_bytes(b"x" * 100)
    member = Member(str(tmp_path / "w"), 90, 20, 20, 0, 0, None, "w: x")
    with pytest.raises(HostileInput, match="not what it claims"):
        written(store, [Entry("x", "file", content=member)])


def test_unpacked_layer_is_the_tree(host: Host, store: Store) -> None:
    """A layer's own /dev and /proc vanished, as they were taken for the sandbox's; small files were not setuid."""
    layer, _ = written(store, SAMPLE)
    (folder,) = unpacked.layers(store, [{"name": "x", "digest": layer.digest, "diff_id": layer.diff_id}])
    found = sorted(scan(str(folder), {}), key=lambda entry: entry.path.encode())
    assert [_plain(entry) for entry in found] == [_plain(entry) for entry in SAMPLE]
    (again,) = unpacked.layers(store, [{"name": "x", "digest": layer.digest, "diff_id": layer.diff_id}])
    assert again == folder


def _plain(entry: Entry) -> tuple[Any, ...]:
    content = entry.content
    data = Path(content.path).read_bytes() if isinstance(content, File) else getattr(content, "data", None)
    if entry.kind == "whiteout":
        return entry.path, entry.kind
    mtime = 0 if entry.kind in {"dir", "hardlink"} else entry.mtime
    mode, uid, gid = (0, 0, 0) if entry.kind == "hardlink" else (entry.mode, entry.uid, entry.gid)
    return entry.path, entry.kind, mode, uid, gid, mtime, data, entry.target, entry.xattrs


def test_unpacked_capability_is_kept(host: Host, store: Store) -> None:
    capability = bytes.fromhex("0100000200200000000000000000000000000000")
    tree = [Entry("ping", "file", 0o755, content=Bytes(b"x"), xattrs=(("security.capability", capability),))]
    layer, _ = written(store, tree)
    (folder,) = unpacked.layers(store, [{"name": "x", "digest": layer.digest, "diff_id": layer.diff_id}])
    assert [entry.xattrs for entry in scan(str(folder), {})] == [tree[0].xattrs]


def test_flipped_bit_in_a_layer(host: Host, store: Store) -> None:
    layer, blob = written(store, SAMPLE)
    store.blob(layer.digest).write_bytes(blob[:-9] + bytes([blob[-9] ^ 1]) + blob[-8:])
    with pytest.raises(HostileInput, match="has changed"):
        unpacked.layers(store, [{"name": "x", "digest": layer.digest, "diff_id": layer.diff_id}])
    assert not store.blob(layer.digest).exists()
    assert not list((store.path / "roots").iterdir())
