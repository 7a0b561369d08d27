"""Foreign layers, hostile ones above all: what leads out, lies or has no end is refused before anything is written."""

from __future__ import annotations

import gzip
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import zstandard
from hypothesis import assume, given
from hypothesis import strategies as st

from builder.errors import HostileInput
from builder.kinds.oci import archive
from builder.kinds.oci.archive import Layer
from tests.fake_image import Member, digest, file, folder, link, member, tar


def read(path: Path, data: bytes) -> list[tuple[str, str, str]]:
    path.write_bytes(data)
    return [(one.kind, one.path, one.target) for one in Layer(path, "layer 3")]


HOSTILE: Sequence[tuple[str, Sequence[Member]]] = [
    ("unsafe path", [file("../../etc/passwd")]),
    ("unsafe path", [file("usr/../../x")]),
    ("unsafe path", [folder("..")]),
    ("unsafe path", [file("a"), member("b", tarfile.LNKTYPE, link="../../etc/shadow")]),
    ("hard link to what its layer does not hold", [member("b", tarfile.LNKTYPE, link="/etc/shadow")]),
    ("hard link to what its layer does not hold", [folder("a"), member("b", tarfile.LNKTYPE, link="a")]),
    ("through a link or a file", [link("a", "/etc"), file("a/passwd")]),
    ("through a link or a file", [link("a/b", "/"), file("a/b/c/d")]),
    ("through a link or a file", [file("a"), file("a/b")]),
    ("through a link or a file", [link("a", "/"), file("a/.wh.etc")]),
    ("whiteout of a folder itself", [file("a/.wh..")]),
    ("whiteout of a folder itself", [file("a/.wh...")]),
    ("whiteout of a folder itself", [file(".wh.")]),
    ("device, socket, pipe", [member("dev/sda", tarfile.BLKTYPE)]),
    ("device, socket, pipe", [member("dev/null", tarfile.CHRTYPE)]),
    ("device, socket, pipe", [member("pipe", tarfile.FIFOTYPE)]),
    ("becomes something else", [folder("a"), file("a")]),
    ("becomes something else", [member("./", tarfile.SYMTYPE, link="/etc")]),
    ("becomes something else", [file("a/b"), link("a", "/etc")]),
]


@pytest.mark.parametrize(("words", "members"), HOSTILE)
def test_hostile_members(tmp_path: Path, words: str, members: Sequence[Member]) -> None:
    with pytest.raises(HostileInput, match=words):
        read(tmp_path / "layer", tar(members))


def test_plain_members(tmp_path: Path) -> None:
    members = [
        folder("./"), folder("./usr/"), file("/usr/a"), member("usr/b", tarfile.LNKTYPE, link="./usr/a"),
        link("etc", "../../../outside"), file("usr/.wh.c"), file("opt/.wh..wh..opq"), file(".wh..wh.plnk"),
        file("usr/a", "again"),
    ]  # fmt: skip
    assert read(tmp_path / "layer", tar(members)) == [
        ("dir", "", ""), ("dir", "usr", ""), ("file", "usr/a", ""), ("hardlink", "usr/b", "usr/a"),
        ("link", "etc", "../../../outside"), ("whiteout", "usr/c", ""), ("opaque", "opt", ""), ("file", "usr/a", ""),
    ]  # fmt: skip


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.compress])
def test_compressions(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    plain = tar([file("a", "x" * 100_000)])
    (tmp_path / "layer").write_bytes(pack(plain))
    layer = Layer(tmp_path / "layer", "x")
    assert [layer.content(one).read() for one in layer] == [b"x" * 100_000]
    assert (layer.diff_id, layer.raw) == (digest(plain), len(plain))


def test_zstd_of_several_frames(tmp_path: Path) -> None:
    plain = tar([file("a", "x" * 5000), file("b")])
    (tmp_path / "layer").write_bytes(zstandard.compress(plain[:700]) + zstandard.compress(plain[700:]))
    layer = Layer(tmp_path / "layer", "x")
    assert [one.path for one in layer] == ["a", "b"]
    assert layer.diff_id == digest(plain)


@pytest.mark.parametrize("packing", ["", "gzip", "zstd"])
@given(at=st.integers(0, 4000), byte=st.integers(0, 255))
def test_damage_is_noticed(tmp_path_factory: pytest.TempPathFactory, packing: str, at: int, byte: int) -> None:
    """Whatever byte is another one: an error of ours and of nobody else's, or other bytes, or nothing that counts."""
    plain = tar([file("a", "some words"), file("usr/b", "more")])
    packers: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "zstd": zstandard.compress, "": bytes}
    data = bytearray(packers[packing](plain))
    assume(data[at % len(data)] != byte)
    data[at % len(data)] = byte
    path = tmp_path_factory.mktemp("damage") / "layer"
    path.write_bytes(data)
    layer = Layer(path, "x")
    try:
        found = [(one.path, layer.content(one).read()) for one in layer if one.kind == "file"]
    except HostileInput:
        return
    if layer.diff_id == digest(plain):  # The byte said nothing that counts, as in a header of gzip.
        assert packing
        assert found == [("a", b"some words"), ("usr/b", b"more")]


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_a_layer_that_is_cut_off(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    data = pack(tar([file("a", "x" * 100_000)]))
    (tmp_path / "layer").write_bytes(data[: len(data) // 2])
    layer = Layer(tmp_path / "layer", "x")
    with pytest.raises(HostileInput, match="not a layer"):
        list(layer)


def test_bytes_after_the_end(tmp_path: Path) -> None:
    with pytest.raises(HostileInput, match="bytes follow the end"):
        read(tmp_path / "layer", tar([file("a")]) + tar([file("../b")]))


def test_no_layer_at_all(tmp_path: Path) -> None:
    for data in (b"", b"words", b"\x1f\x8b" + b"\0" * 50, b"\x28\xb5\x2f\xfd" + b"\0" * 50):
        with pytest.raises(HostileInput, match="not a layer"):
            read(tmp_path / "layer", data)


def test_an_empty_layer(tmp_path: Path) -> None:
    assert read(tmp_path / "layer", bytes(1024)) == []


def test_more_than_an_image_can_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = gzip.compress(tar([file("a", "\0" * 3_000_000)]))
    monkeypatch.setattr(archive, "MOST_BYTES", 1_000_000)
    with pytest.raises(HostileInput, match="without an end"):
        read(tmp_path / "layer", bomb)
    monkeypatch.setattr(archive, "MOST_MEMBERS", 3)
    with pytest.raises(HostileInput, match="without an end"):
        read(tmp_path / "layer", tar([folder(f"f{n}") for n in range(4)]))


def test_a_header_without_an_end(tmp_path: Path) -> None:
    """tarfile would take all of it into memory."""
    for kind in (tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME):
        info = tarfile.TarInfo("x")
        info.type, info.size = kind, 8 << 30
        with pytest.raises(HostileInput, match="not a layer"):
            read(tmp_path / "layer", info.tobuf(tarfile.GNU_FORMAT))


def test_a_sparse_file(tmp_path: Path) -> None:
    info, _ = file("a")
    info.pax_headers = {"GNU.sparse.major": "0", "GNU.sparse.size": str(1 << 60), "GNU.sparse.map": "0,0"}
    with pytest.raises(HostileInput, match="sparse"):
        read(tmp_path / "layer", tar([(info, b"")]))
