"""Packages as they come: both formats, old ones, and what no package may be."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from builder.errors import HostileInput, StackbuildError
from builder.kinds.conda import archive
from builder.kinds.conda.archive import content
from builder.kinds.conda.package import Package, read
from tests.conda_packages import PLACEHOLDER, Made, Piece, Rows, native, noarch, package, tar, zipped

FORMATS = (".conda", ".tar.bz2")
X = Piece(path="share/x", data=b"x")


def opened(made: Made, folder: Path) -> Package:
    folder.mkdir(exist_ok=True)
    return read(made.path, made.path.name, folder)


@pytest.mark.parametrize("suffix", FORMATS)
def test_reads_both_formats(tmp_path: Path, suffix: str) -> None:
    found = opened(native(tmp_path, suffix=suffix), tmp_path / "tars")
    assert found.index["name"] == "libtiny"
    assert [file.path for file in found.files] == sorted((file.path for file in found.files), key=str.encode)
    by_path = {file.path: file for file in found.files}
    assert by_path["lib/libtiny.so"].member.target == "libtiny.so.1.0"
    assert by_path["lib/libtiny.so.1.0"].placeholder == PLACEHOLDER
    assert by_path["lib/libtiny.so.1.0"].mode == "binary"
    tool, alias = by_path["bin/tiny-tool"], by_path["bin/tiny-alias"]
    assert alias.member.first == tool.path or tool.member.first == alias.path
    assert content(alias.member) == content(tool.member) == b"#!/bin/sh\necho tool\n"
    assert tool.digest == hashlib.sha256(content(tool.member)).digest()


def test_entry_points(tmp_path: Path) -> None:
    found = opened(noarch(tmp_path), tmp_path / "tars")
    assert found.noarch == "python"
    assert [(one.command, one.module, one.function) for one in found.entry_points] == [
        ("tiny-lab", "tiny_lab.app", "main"),
        ("tiny-app", "tiny_lab.app", "App.run"),
    ]


def test_old_package_without_paths(tmp_path: Path) -> None:
    """From before 2017: lists instead of paths.json; a line of has_prefix may be a path alone."""
    old = "/opt/anaconda1anaconda2anaconda3"
    made = package(
        tmp_path,
        "old",
        [
            Piece(path="bin/a", data=f"#!{old}/bin/python\n".encode(), mode=0o755),
            Piece(path="lib/b c", data=f"{PLACEHOLDER}\0".encode()),
            Piece(path="lib/d", link="b c"),
            X,
        ],
        suffix=".tar.bz2",
        info={
            "info/paths.json": None,
            "info/files": b"bin/a\nlib/b c\nlib/d\nshare/x\n",
            "info/has_prefix": f'bin/a\n"{PLACEHOLDER}" binary "lib/b c"\n'.encode(),
            "info/no_link": b"share/x\n",
        },
    )
    found = {file.path: file for file in opened(made, tmp_path / "tars").files}
    assert (found["bin/a"].placeholder, found["bin/a"].mode) == (old, "text")
    assert (found["lib/b c"].placeholder, found["lib/b c"].mode) == (PLACEHOLDER, "binary")
    assert found["lib/d"].member.kind == "link"
    assert found["share/x"].no_link
    assert found["share/x"].digest is None


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize(
    ("piece", "match"),
    [
        (Piece(path="../evil", data=b"x"), "unsafe path"),
        (Piece(path="share/../../evil", data=b"x"), "unsafe path"),
        (Piece(path="/etc/passwd", data=b"x"), "unsafe path"),
        (Piece(path="share/back\\slash", data=b"x"), "unsafe path"),
        (Piece(path="dev", kind=tarfile.CHRTYPE), "a device, pipe or sparse file"),
        (Piece(path="pipe", kind=tarfile.FIFOTYPE), "a device, pipe or sparse file"),
        (Piece(path="share/x", data=b"y"), "a path stands twice"),
        (Piece(path="share/./x", data=b"y"), "a path stands twice"),
        (Piece(path="hard", hard="nowhere"), "a hard link to what is not there"),
        (Piece(path="hard", hard="../../etc/passwd"), "unsafe path"),
    ],
)
def test_members_that_no_package_may_have(tmp_path: Path, suffix: str, piece: Piece, match: str) -> None:
    made = package(tmp_path, "evil", [X, piece], suffix=suffix, rows=lambda rows: rows[-1:])
    with pytest.raises(HostileInput, match=match):
        opened(made, tmp_path / "tars")


def changed(**values: object) -> Callable[[Rows], Rows]:
    return lambda rows: [{**row, **values} for row in rows]


@pytest.mark.parametrize(
    ("rows", "match"),
    [
        (lambda rows: [], "1 files that it does not list"),
        (lambda rows: [*rows, {**rows[0], "_path": "share/y"}], "it lists what is not there"),
        (lambda rows: [*rows, {**rows[0], "_path": "info/index.json"}], "it lists what is not there"),
        (lambda rows: [*rows, rows[0]], "stands twice in paths.json"),
        (lambda rows: [*rows, {**rows[0], "_path": "../x"}], "unsafe path"),
        (changed(size_in_bytes=2), "1 bytes are to be 2"),
        (changed(size_in_bytes="1"), "1 bytes are to be 1"),
        (changed(sha256="0"), "no sha256"),
        (changed(path_type="softlink"), "a file is to be a softlink"),
        (changed(path_type="device"), "a file is to be a device"),
        (changed(prefix_placeholder="/", file_mode="text"), "no placeholder"),
        (changed(prefix_placeholder="relative", file_mode="text"), "no placeholder"),
        (changed(prefix_placeholder=PLACEHOLDER, file_mode="other"), "no way to replace a prefix"),
        (lambda rows: ["x"], "malformed"),
        (lambda rows: 7, "malformed"),
    ],
)
def test_paths_that_lie(tmp_path: Path, rows: Any, match: str) -> None:
    made = package(tmp_path, "liar", [X], rows=rows)
    with pytest.raises(HostileInput) as caught:
        opened(made, tmp_path / "tars")
    assert match in str(caught.value)
    assert "liar-1.0-h1_0.conda" in str(caught.value)


@pytest.mark.parametrize(
    "entry",
    ["", "x", "x = y", "../x = a:b", ".x = a:b", "a/b = a:b", "x = a;import os:b", "x = a:b()", "x = a b:c", "x = :c"],
)
def test_entry_points_that_are_none(tmp_path: Path, entry: str) -> None:
    """Their words become a file's name and a program."""
    made = package(tmp_path, "evil", [X], noarch="python", entry_points=[entry])
    with pytest.raises(HostileInput, match="an entry point is none"):
        opened(made, tmp_path / "tars")


def written(tmp_path: Path, data: bytes, suffix: str = ".conda") -> Made:
    path = tmp_path / f"evil-1.0-h1_0{suffix}"
    path.write_bytes(data)
    return Made(path=path, index={})


def zip_of(*members: tuple[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as whole:
        for name, data in members:
            whole.writestr(name, data)
    return out.getvalue()


PACKED = zstandard.compress(tar([X]))
INFO = ("info-evil.tar.zst", PACKED)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\x05\x06" + bytes(18),
        zip_of(INFO),
        zip_of(INFO, ("pkg-evil.tar.zst", PACKED), ("pkg-other.tar.zst", PACKED)),
        zip_of(INFO, ("pkg-evil.tar.zst", PACKED), method=zipfile.ZIP_DEFLATED),
        zip_of(INFO, ("pkg-evil.tar.zst", PACKED[:-8])),
        zip_of(INFO, ("pkg-evil.tar.zst", b"no zstd")),
        zip_of(INFO, ("pkg-evil.tar.zst", zstandard.compress(b"no tar" * 1000))),
        zipped("evil", tar([]), tar([X])),
        zipped("evil", tar([Piece(path="info/index.json", data=b"[1]")]), tar([X])),
        zipped("evil", tar([Piece(path="info/index.json", data=b"{")]), tar([X])),
        zipped("evil", tar([Piece(path="info/index.json", data=b"[" * 100_000)]), tar([X])),
        zipped("evil", tar([Piece(path="info/index.json", data=b'{"name": "\xff"}')]), tar([X])),
        zipped("evil", tar([Piece(path="info/index.json", link="../../etc/passwd")]), tar([X])),
    ],
)
def test_malformed(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(HostileInput, match=r"malformed conda package: evil-1\.0-h1_0\.conda"):
        opened(written(tmp_path, data), tmp_path / "tars")


@pytest.mark.parametrize("data", [b"", b"no bzip2", tar([X], "w:bz2")[:-20]])
def test_malformed_bzip2(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(HostileInput, match="malformed conda package"):
        opened(written(tmp_path, data, ".tar.bz2"), tmp_path / "tars")


@pytest.mark.parametrize("suffix", FORMATS)
def test_bomb(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a package unpacks to is bounded by its own size, and no byte more is written."""
    monkeypatch.setattr(archive, "_ROOM", 1 << 20)
    bomb = Piece(path="share/bomb", data=bytes(64 << 20))
    made = package(tmp_path, "bomb", [bomb], suffix=suffix)
    with pytest.raises(HostileInput, match="more than a package of its size may"):
        opened(made, tmp_path / "tars")
    assert sum(path.stat().st_size for path in (tmp_path / "tars").iterdir()) < 4 << 20


def test_too_many_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "_MEMBERS", 10)
    made = package(tmp_path, "many", [Piece(path=f"share/{number}") for number in range(20)])
    with pytest.raises(HostileInput, match="more than 10 members"):
        opened(made, tmp_path / "tars")


def test_disk_that_is_full(tmp_path: Path) -> None:
    """No fault of the package: it is not called malformed."""
    made = native(tmp_path)
    with pytest.raises(StackbuildError, match="cannot unpack") as caught:
        read(made.path, made.path.name, tmp_path / "not" / "there")
    assert not isinstance(caught.value, HostileInput)
