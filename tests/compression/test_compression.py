"""Formats of layers: what is the same in all of them, and what no two of them share."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings

from builder import compression, listing, planner, unpacked
from builder.action import Action
from builder.digest import Digest
from builder.layer import Written, write
from builder.locks import Locks
from builder.manifest.model import Target
from builder.manifest.read import loads
from builder.parts import write_part
from builder.store import Store
from builder.tree import Bytes, Entry, File, Member
from tests.conftest import Golden
from tests.entry_trees import SAMPLE, read_back, trees
from tests.stargz_reader import Stargz

ROOT = Path(__file__).parents[2]
REFERRED = ("oci", "oci.layer", "image", "fetch.ground", "conda.clash", "pip.sdist")
"""Kinds of actions that write no layer."""


def written(store: Store, entries: list[Entry], form: str) -> tuple[Written, bytes]:
    with store.new_blob() as incoming:
        layer = write(entries, incoming, codec=compression.codec(form))
    return layer, store.blob(layer.digest).read_bytes()


def inflated(blob: bytes) -> bytes:
    """The tar, by other libraries than ours."""
    if blob.startswith(b"\x1f\x8b"):
        return gzip.decompress(blob)
    return zstandard.ZstdDecompressor().stream_reader(blob, read_across_frames=True).read()


def read_inflated(path: Path) -> bytes:
    """The tar, as builds read layers back."""
    with unpacked.decompressed(path) as stream:
        return stream.read()


def test_names() -> None:
    assert compression.names() == ("estargz", "gzip", "zstd")
    assert [compression.of(compression.codec(name)).__name__ for name in compression.names()] == [
        f"builder.compression.{name}" for name in compression.names()
    ]


@settings(max_examples=60)
@given(trees())
def test_every_format_holds_the_same_tree(tmp_path_factory: pytest.TempPathFactory, entries: list[Entry]) -> None:
    store = Store.open(tmp_path_factory.getbasetemp() / "store")
    found = {form: written(store, entries, form) for form in compression.names()}
    for layer, blob in found.values():
        raw = inflated(blob)
        assert (Digest.of(raw), len(raw)) == (layer.diff_id, layer.raw)
        assert (Digest.of(blob), len(blob)) == (layer.digest, layer.size)
        assert read_inflated(store.blob(layer.digest)) == raw
        assert layer.listing == found["gzip"][0].listing
    assert found["zstd"][0].diff_id == found["gzip"][0].diff_id
    marked = read_back(inflated(found["estargz"][1]))
    assert (marked[0].path, marked[-1].path) == (".no.prefetch.landmark", "stargz.index.json")
    assert marked[1:-1] == entries


LARGE = bytes(range(256)) * (150 << 10)
"""Of more than two pieces or frames of any format."""


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """A zip with members as wheels have them: deflated, stored, empty, and one too large to be copied everywhere."""
    path = tmp_path / "wheel"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("deflated", b"deflated " * 10_000, zipfile.ZIP_DEFLATED)
        archive.writestr("stored", b"stored " * 700_000, zipfile.ZIP_STORED)
        archive.writestr("empty", b"", zipfile.ZIP_DEFLATED)
        archive.writestr("large", LARGE, zipfile.ZIP_DEFLATED)
    return path


def members(wheel: Path) -> list[Entry]:
    """Its members as content that is still in it."""
    found = []
    with zipfile.ZipFile(wheel) as archive:
        for info in archive.infolist():
            start = info.header_offset + 30 + len(info.filename)
            method = 8 if info.compress_type == zipfile.ZIP_DEFLATED else 0
            member = Member(
                str(wheel), start, info.compress_size, info.file_size, info.CRC, method, None, info.filename
            )
            found.append(Entry(info.filename, "file", 0o644, content=member))
    return sorted(found, key=lambda entry: entry.path)


@pytest.mark.parametrize("form", compression.names())
def test_where_content_comes_from_makes_no_difference(form: str, wheel: Path, store: Store, tmp_path: Path) -> None:
    """Not to the tar; the compressed bytes of gzip's formats are those of the wheel where they are copied."""
    spliced, _ = written(store, members(wheel), form)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "files")
        plain = [Entry(entry.path, "file", 0o644, content=Bytes(archive.read(entry.path))) for entry in members(wheel)]
    on_disk = [
        Entry(entry.path, "file", 0o644, content=File(str(tmp_path / "files" / entry.path), entry.content.size))
        for entry in plain
        if entry.content
    ]
    one, two = written(store, plain, form)[0], written(store, on_disk, form)[0]
    assert one == two
    assert spliced.listing == one.listing
    if form != "estargz":  # Its tar has the offsets of what is compressed.
        assert spliced.diff_id == one.diff_id
    if form == "zstd":
        assert spliced == one


def test_an_estargz_layer_of_a_wheel(wheel: Path, store: Store) -> None:
    """A member is one chunk, whatever its size, up to 16 MiB; larger ones are cut."""
    layer, blob = written(store, members(wheel), "estargz")
    found = Stargz(blob, layer.annotations)
    found.verify()
    sizes = {name: [one.size for one in chunks] for name, chunks in found.chunks.items()}
    assert sizes == {
        ".no.prefetch.landmark": [1],
        "deflated": [90_000],
        "large": [4 << 20] * 9 + [len(LARGE) - 9 * (4 << 20)],
        "stored": [4 << 20, 4_900_000 - (4 << 20)],
    }
    with wheel.open("rb") as stream, zipfile.ZipFile(wheel) as archive:
        info = archive.getinfo("deflated")
        stream.seek(info.header_offset + 30 + len("deflated"))
        assert stream.read(info.compress_size) in blob[found.chunks["deflated"][0].offset :]


@settings(max_examples=100)
@given(trees())
def test_an_independent_reader_agrees(tmp_path_factory: pytest.TempPathFactory, entries: list[Entry]) -> None:
    store = Store.open(tmp_path_factory.getbasetemp() / "store")
    layer, blob = written(store, entries, "estargz")
    Stargz(blob, layer.annotations).verify()
    assert written(store, entries, "estargz")[0] == layer


@pytest.mark.parametrize("size", [(4 << 20) - 1, 4 << 20, (4 << 20) + 1, 8 << 20])
def test_chunks_of_a_large_file(size: int, store: Store) -> None:
    layer, blob = written(store, [Entry("x", "file", 0o644, content=Bytes(LARGE[:size]))], "estargz")
    found = Stargz(blob, layer.annotations)
    found.verify()
    assert [one.size for one in found.chunks["x"]] == [4 << 20] * (size >> 22) + [size % (4 << 20)] * bool(
        size % (4 << 20)
    )


def test_what_estargz_keeps_for_itself(store: Store) -> None:
    """A layer that was one before, copied with other owners, has a new table and no second landmark."""
    stale = [Entry(name, "file", 0o644, content=Bytes(b"{}")) for name in (".prefetch.landmark", "stargz.index.json")]
    layer, blob = written(store, [*stale, Entry("z/stargz.index.json", "file", content=Bytes(b"z"))], "estargz")
    Stargz(blob, layer.annotations).verify()
    assert [entry.path for entry in read_back(inflated(blob))] == [
        ".no.prefetch.landmark",
        "z/stargz.index.json",
        "stargz.index.json",
    ]
    assert "\tstargz" not in layer.listing


def test_a_name_that_json_cannot_say(store: Store) -> None:
    with pytest.raises(Exception, match="eStargz has no way to write this name"):
        written(store, [Entry("\udcff", "file", 0o644, content=Bytes(b"1"))], "estargz")


def test_frames_are_bounded(store: Store) -> None:
    """So that nothing larger is ever kept in memory, and several may be inflated at once."""
    _, blob = written(store, [Entry("x", "file", 0o644, content=Bytes(LARGE))], "zstd")
    sizes = []
    while blob:
        frame = zstandard.get_frame_parameters(blob)
        assert frame.has_checksum
        inflater = zstandard.ZstdDecompressor().decompressobj()
        assert len(inflater.decompress(blob)) == frame.content_size
        sizes.append(frame.content_size)
        blob = inflater.unused_data
    assert set(sizes[:-1]) == {8 << 20}
    assert sum(sizes) == 512 + len(LARGE) + 1024


@pytest.mark.parametrize("form", compression.names())
def test_a_layer_entry_by_entry(form: str, wheel: Path, store: Store, golden: Golden) -> None:
    """What no version of a compressing library changes: the entries, and for eStargz the table but for its offsets."""
    short = [one for one in SAMPLE if len(one.path + one.target) < 40 and one.path.isprintable()]
    layer = write_part(store, "x", [*short, *members(wheel)], compression.codec(form))
    rows = [f"{layer['media_type']} {layer['raw'] if form != 'estargz' else ''}".rstrip()]
    for one in listing.read(store, layer):
        mark = f"sha256:{one.mark[:12]}…" if one.kind == "file" else one.mark
        rows.append(f"{one.kind:8} {one.mode} {one.ids:9} {one.size:8} {mark:20} {one.path}")
    if form == "estargz":
        assert set(layer["annotations"]) == {
            "containerd.io/snapshot/stargz/toc.digest",
            "io.containers.estargz.uncompressed-size",
        }
        found = Stargz(store.blob(layer["digest"]).read_bytes(), layer["annotations"])
        for row in found.entries:
            size = f"{row.get('size', 0)} in {len(found.chunks.get(row['name'], ()))}"
            rest = {key: row[key] for key in ("modtime", "linkName", "digest") if key in row}
            rows.append(f"{row['type']:8} {row['mode']:04o} {row['uid']}:{row['gid']} {size} {row['name']!r} {rest}")
    else:
        assert "annotations" not in layer
        rows.append(str(layer["diff_id"]))
    golden(f"compression.{form}.txt", "\n".join(rows) + "\n")


def _planned(form: str, monkeypatch: pytest.MonkeyPatch) -> list[Action]:
    """Every action of the repository's own images for amd64, and of an example with conda, a script and a download."""
    monkeypatch.setattr("builder.kinds.pip.python.NATIVE", "linux/amd64")
    text = (ROOT / "stacks.toml").read_text()
    if form:
        text = text.replace("[project]", f'[project]\ncompression = "{form}"', 1)
    manifest = loads(text, ROOT / "stacks.toml")
    targets = [Target.parse(f"{image}:cpu@linux/amd64") for image in ("base", "jupyter", "jupyter-scipy")]
    ends = [one.image for one in planner.plan_targets(manifest, Locks(ROOT / "locks"), targets).values()]
    return [*dict.fromkeys(action for end in ends if end for action in end.walk())]


def test_keys_are_of_one_format(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another format, other keys of all that writes a layer; gzip is what is had without saying anything."""
    found = {form: _planned(form, monkeypatch) for form in ("", *compression.names())}
    keys = {form: [action.plan_key for action in actions] for form, actions in found.items()}
    assert keys[""] == keys["gzip"]
    for actions in zip(*(found[form] for form in compression.names()), strict=True):
        kinds, options = {action.kind for action in actions}, [action.options for action in actions]
        assert len(kinds) == 1
        if kinds.isdisjoint(REFERRED):
            assert [one["codec"]["format"].partition("-")[0] for one in options] == list(compression.names())
            assert len({action.plan_key for action in actions}) == len(actions)
