"""Debian packages that zstd packed, written once more without compression."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import zstandard

from builder.errors import HostileInput
from builder.kinds.apt.deb import entries, read
from builder.kinds.apt.plain import plain
from tests.fake_deb import CONTROL, ar, build, forge, member, tar

_BINARY = ("debian-binary", b"2.0\n")
_CONTROL = ("control.tar", tar([(member("./control", data=CONTROL.encode()), CONTROL.encode())]))


def _packed(folder: Path, *compression: str) -> Path:
    build(folder, "real", {"usr/x": "content" * 1000, "usr/y": "odd"}, postinst="#!/bin/sh\n")
    path = folder / "other.deb"
    command = ["dpkg-deb", *compression, "--build", str(folder / "real-root"), str(path)]
    subprocess.run(command, check=True, capture_output=True)
    return path


@pytest.mark.parametrize("options", [["-Zzstd"], ["-Zzstd", "-z19"], ["-Zzstd", "--no-uniform-compression"]])
def test_what_dpkg_reads_in_it_is_the_same(options: list[str], tmp_path: Path) -> None:
    path = _packed(tmp_path, *options)
    written = plain({"other": path}, tmp_path / "plain")
    assert written == {"other": tmp_path / "plain/other.deb"}
    for question in ("--contents", "--info"):
        said = [
            subprocess.run(["dpkg-deb", question, str(one)], check=True, capture_output=True, text=True).stdout
            for one in (path, written["other"])
        ]
        assert _without_size(said[0]) == _without_size(said[1])
    deb = read(str(written["other"]))
    assert deb.data[0] == "data.tar"
    found = {info.name: content.read() for info, archive in entries(deb) if (content := archive.extractfile(info))}
    assert found == {"./usr/x": b"content" * 1000, "./usr/y": b"odd"}


def _without_size(said: str) -> list[str]:
    return [line for line in said.splitlines() if "debian package" not in line and " size " not in line]


@pytest.mark.parametrize("options", [["-Zxz"], ["-Zgzip"], ["-Znone"]])
def test_others_stay_as_they_are(options: list[str], tmp_path: Path) -> None:
    assert plain({"other": _packed(tmp_path, *options, "--uniform-compression")}, tmp_path / "plain") == {}
    assert not (tmp_path / "plain").exists()


def test_forged_one_of_xz(tmp_path: Path) -> None:
    (tmp_path / "x.deb").write_bytes(forge([]))
    assert plain({"x": tmp_path / "x.deb"}, tmp_path / "plain") == {}


def test_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builder.kinds.apt.plain._ROOM", 1 << 20)
    packed = zstandard.ZstdCompressor().compress(bytes(20 << 20))
    said = _refused(tmp_path, ar([_BINARY, _CONTROL, ("data.tar.zst", packed)]))
    assert "unpacks to far more than its size" in said


def test_window_that_takes_more_memory_than_a_packer_asks_for(tmp_path: Path) -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=28)
    stream = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    packed = stream.compress(b"x" * 9000) + stream.flush()
    assert "memory" in _refused(tmp_path, ar([_BINARY, _CONTROL, ("data.tar.zst", packed)]))


def test_frame_that_is_none(tmp_path: Path) -> None:
    assert "zstd" in _refused(tmp_path, ar([_BINARY, _CONTROL, ("data.tar.zst", b"x" * 90)]))


def test_truncated_frame(tmp_path: Path) -> None:
    whole = zstandard.ZstdCompressor().compress(tar([(member("./usr/x", data=b"y"), b"y")]))
    said = _refused(tmp_path, ar([_BINARY, _CONTROL, ("data.tar.zst", whole[:-9])]))
    assert "in the middle of a zstd frame" in said


def _refused(tmp_path: Path, data: bytes) -> str:
    (tmp_path / "x.deb").write_bytes(data)
    with pytest.raises(HostileInput) as caught:
        plain({"x": tmp_path / "x.deb"}, tmp_path / "plain")
    assert "malformed Debian package: x" in str(caught.value)
    return str(caught.value)
