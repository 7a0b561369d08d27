"""Reading archives: every compression, what is refused, and that nothing hostile gets through."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import stat
import struct
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from builder.errors import HostileInput
from builder.kinds.fetch.archive import members
from builder.kinds.fetch.member import Limits, Member
from builder.tree import NEWEST
from tests.fake_archive import zipped
from tests.fake_deb import ar, build, forge, member, tar

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstandard.compress,
}


def listed(folder: Path, data: bytes, form: str = "tar", limits: Limits | None = None) -> list[tuple[Member, bytes]]:
    path = folder / "archive"
    path.write_bytes(data)
    found = members(path, form, "it", limits or Limits())
    return [(one, content.read() if content else b"") for one, content in found]


def refused(folder: Path, data: bytes, form: str = "tar", limits: Limits | None = None) -> str:
    with pytest.raises(HostileInput) as caught:
        listed(folder, data, form, limits)
    return str(caught.value)


@pytest.mark.parametrize("packer", PACKERS)
def test_tar_of_every_compression(packer: str, tmp_path: Path) -> None:
    program = member("./bin/tool", data=b"#!/bin/sh\n")
    text = member("doc", data=b"words")
    text.mode, text.mtime = 0o600, 86400
    plain = tar([(member("./", tarfile.DIRTYPE), b""), (member("./bin/", tarfile.DIRTYPE), b""),
                 (program, b"#!/bin/sh\n"), (text, b"words"), (member("also", tarfile.LNKTYPE, link="./doc"), b""),
                 (member("link", tarfile.SYMTYPE, link="bin/tool"), b"")])  # fmt: skip
    found = listed(tmp_path, PACKERS[packer](plain))
    assert found == [
        (Member(path="bin", kind="dir"), b""),
        (Member(path="bin/tool", kind="file", size=10, program=True, mtime=0), b"#!/bin/sh\n"),
        (Member(path="doc", kind="file", size=5, mtime=86400), b"words"),
        (Member(path="also", kind="hardlink", target="doc"), b""),
        (Member(path="link", kind="link", target="bin/tool", mtime=0), b""),
    ]


def test_a_tar_that_gnu_tar_made(tmp_path: Path) -> None:
    long = "d/" + "n" * 180
    (tmp_path / "d").mkdir()
    (tmp_path / long).write_text("long")
    for form in ("gnu", "posix", "ustar"):
        subprocess.run(["tar", f"--format={form}", "-czf", f"{form}.tgz", "d"], cwd=tmp_path, check=form != "ustar",
                       stderr=subprocess.DEVNULL)  # fmt: skip
    for form in ("gnu", "posix"):
        found = listed(tmp_path, (tmp_path / f"{form}.tgz").read_bytes())
        assert [(one.path, one.kind, data) for one, data in found] == [("d", "dir", b""), (long, "file", b"long")]
        assert found[1][0].mtime == NEWEST


def test_zip_with_modes_and_links(tmp_path: Path) -> None:
    data = zipped([
        ("bin/", stat.S_IFDIR | 0o755, b""),
        ("bin/tool", stat.S_IFREG | 0o755, b"x" * 5000),
        ("dos", 0, b"from DOS"),
        ("link", stat.S_IFLNK | 0o777, b"bin/tool"),
    ])  # fmt: skip
    found = listed(tmp_path, data, "zip")
    assert [(one.path, one.kind, one.program, one.target, len(content)) for one, content in found] == [
        ("bin", "dir", False, "", 0),
        ("bin/tool", "file", True, "", 5000),
        ("dos", "file", False, "", 8),
        ("link", "link", False, "bin/tool", 0),
    ]


def test_deb_brings_its_data_alone(tmp_path: Path) -> None:
    path = build(tmp_path, "real", {"usr/bin/real": "words"}, postinst="#!/bin/sh\nexit 1\n")
    found = listed(tmp_path, path.read_bytes(), "deb")
    assert [(one.path, data) for one, data in found if one.kind == "file"] == [("usr/bin/real", b"words")]
    packed = zstandard.compress(tar([(member("./a", data=b"1"), b"1")]))
    data = ar([("debian-binary", b"2.0\n"), ("control.tar.zst", b"not looked at"), ("data.tar.zst", packed)])
    assert [one.path for one, _ in listed(tmp_path, data, "deb")] == ["a"]
    assert "no data archive" in refused(tmp_path, ar([("debian-binary", b"2.0\n")]), "deb")
    assert "ar magic is missing" in refused(tmp_path, b"no package", "deb")


UNSAFE = ["/etc/passwd", "../x", "a/../../x", "..", "a\nb", "a\\b", "a/\x07"]


@pytest.mark.parametrize("name", UNSAFE)
@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE])
def test_unsafe_paths_in_tar_and_deb(name: str, kind: bytes, tmp_path: Path) -> None:
    entries = [(member(name, kind, link="x"), b"")]
    assert "unsafe path" in refused(tmp_path, tar(entries))
    assert "unsafe path" in refused(tmp_path, forge(entries), "deb")


@pytest.mark.parametrize("name", [*UNSAFE, "a\0b"])
def test_unsafe_paths_in_zip(name: str, tmp_path: Path) -> None:
    assert "unsafe path" in refused(tmp_path, zipped([(name, stat.S_IFREG | 0o644, b"")]), "zip")


def test_hard_link_to_outside(tmp_path: Path) -> None:
    assert "unsafe path" in refused(tmp_path, tar([(member("a", tarfile.LNKTYPE, link="/etc/shadow"), b"")]))
    assert "unsafe path" in refused(tmp_path, tar([(member("a", tarfile.LNKTYPE, link="../../etc/shadow"), b"")]))


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, b"Z"])
def test_devices_and_pipes(kind: bytes, tmp_path: Path) -> None:
    assert "a device, a pipe, or of an unknown type: dev" in refused(tmp_path, tar([(member("dev", kind), b"")]))


@pytest.mark.parametrize("kind", [stat.S_IFCHR, stat.S_IFIFO, stat.S_IFSOCK])
def test_devices_in_zip(kind: int, tmp_path: Path) -> None:
    assert "a device or a pipe: dev" in refused(tmp_path, zipped([("dev", kind | 0o644, b"")]), "zip")


def test_strange_links(tmp_path: Path) -> None:
    assert "strange target" in refused(tmp_path, tar([(member("a", tarfile.SYMTYPE, link="a\nb"), b"")]))
    assert "strange target" in refused(tmp_path, zipped([("a", stat.S_IFLNK | 0o777, b"")]), "zip")


def test_special_modes_are_told(tmp_path: Path) -> None:
    setuid, setgid, capable = (member(name, data=b"") for name in ("setuid", "setgid", "capable"))
    setuid.mode, setgid.mode = 0o4755, 0o2755
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        capable.pax_headers = {"SCHILY.xattr.security.capability": "x"}
        for one in (setuid, setgid, capable):
            archive.addfile(one)
    assert [one.special for one, _ in listed(tmp_path, out.getvalue())] == ["setuid", "setgid", "file capabilities"]
    found = listed(tmp_path, zipped([("a", stat.S_IFREG | 0o4755, b"")]), "zip")
    assert found[0][0].special == "setuid"


def test_bombs(tmp_path: Path) -> None:
    small = Limits(floor=1 << 20, ratio=10)
    entry = member("zeros", data=bytes(4 << 20))
    bomb = tar([(entry, bytes(4 << 20))])
    for packer in ("gzip", "bzip2", "xz", "zstd"):
        assert "far more than its size" in refused(tmp_path, PACKERS[packer](bomb), limits=small)
    assert len(listed(tmp_path, bomb, limits=small)[0][1]) == 4 << 20, "what is not packed is no bomb"
    assert "far more than its size" in refused(tmp_path, zipped([("z", 0, bytes(4 << 20))]), "zip", small)
    many = tar([(member(f"f{n}"), b"") for n in range(11)])
    assert "more than 10 members" in refused(tmp_path, many, limits=Limits(members=10))


def test_endless_headers(tmp_path: Path) -> None:
    """tarfile reads a pax header into memory, however long it says it is."""
    header = member("x", tarfile.XHDTYPE)
    header.size = 1 << 30
    data = header.tobuf(tarfile.GNU_FORMAT) + bytes(8 << 20)
    said = refused(tmp_path, gzip.compress(data), limits=Limits(headers=1 << 20))
    assert "headers without an end" in said


def test_damage(tmp_path: Path) -> None:
    good = tar([(member("a", data=b"x" * 3000), b"x" * 3000)])
    for data, form in (
        (good[:1500], "tar"),
        (gzip.compress(good)[:-30], "tar"),
        (lzma.compress(good)[:-30], "tar"),
        (bz2.compress(good)[:-30], "tar"),
        (zstandard.compress(good)[:-30], "tar"),
        (b"\x1f\x8b" + bytes(100), "tar"),
        (b"<html>not found</html>" * 50, "tar"),
        (b"", "tar"),
        (zipped([("a", 0, b"x" * 100)])[:-30], "zip"),
        (b"", "zip"),
    ):
        assert "cannot be read" in refused(tmp_path, data, form), (data[:10], form)


def test_a_zip_that_lies(tmp_path: Path) -> None:
    data = bytearray(zipped([("a", 0, b"x" * 100)], zipfile.ZIP_STORED))
    data[data.index(b"xxx")] ^= 1
    assert "cannot be read" in refused(tmp_path, bytes(data), "zip")
    encrypted = bytearray(zipped([("a", 0, b"x" * 100)], zipfile.ZIP_STORED))
    at = encrypted.index(b"PK\x01\x02") + 8
    encrypted[at : at + 2] = struct.pack("<H", 1)
    assert "is encrypted: a" in refused(tmp_path, bytes(encrypted), "zip")


NAMES = st.text("ab./\\\0\n~é", min_size=1, max_size=12) | st.sampled_from(UNSAFE)


@given(st.lists(st.tuples(NAMES, st.sampled_from([tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE])), max_size=4))
def test_no_path_leads_out(tmp_path_factory: pytest.TempPathFactory, names: list[tuple[str, bytes]]) -> None:
    """Whatever the names, what is let through is relative, in normal form, and stays below."""
    folder = tmp_path_factory.mktemp("archive")
    try:
        found = listed(folder, tar([(member(name, kind, link="x"), b"") for name, kind in names]))
    except HostileInput:
        return
    for one, _ in found:
        assert (folder / one.path).resolve().is_relative_to(folder)
        assert one.path and not {"", ".", ".."} & set(one.path.split("/"))
        assert one.path.isprintable()
