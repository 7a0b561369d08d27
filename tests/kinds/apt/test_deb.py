"""Reading Debian packages that are damaged, or are none."""

from __future__ import annotations

import gzip
import lzma
import resource
import subprocess
import tarfile
from pathlib import Path

import pytest

from builder.kinds.apt.deb import BadDeb, entries, read
from tests.fake_deb import CONTROL, ar, build, forge, member, tar

_BINARY = ("debian-binary", b"2.0\n")


def _control(text: str = CONTROL) -> bytes:
    data = text.encode()
    return tar([(member("./control", data=data), data)])


def _read(tmp_path: Path, data: bytes) -> str:
    """What is said of a file that is no package."""
    path = tmp_path / "x.deb"
    path.write_bytes(data)
    with pytest.raises(BadDeb) as caught:
        read(str(path))
    assert str(path) in str(caught.value) or "compression" in str(caught.value)
    return str(caught.value)


def test_real_package(tmp_path: Path) -> None:
    path = build(
        tmp_path, "real", {"etc/real.conf": "a=1\n", "usr/bin/real": "#!/bin/sh\n"},
        conffiles="/etc/real.conf\n", postinst="#!/bin/sh\nexit 0\n", triggers="interest-noawait /usr/share/fonts\n",
    )  # fmt: skip
    deb = read(str(path))
    assert (deb.key, deb.field("version"), deb.field("Nothing")) == ("real", "1.0", "")
    assert deb.conffiles() == ["/etc/real.conf"]
    assert deb.triggers() == [("interest-noawait", "/usr/share/fonts")]
    assert deb.members["postinst"] == (0o755, b"#!/bin/sh\nexit 0\n")
    said = subprocess.run(["dpkg-deb", "-c", str(path)], check=True, capture_output=True, text=True).stdout
    assert [found.name for found, _ in entries(deb)] == [line.split()[5].rstrip("/") for line in said.splitlines()]


@pytest.mark.parametrize("compression", ["none", "gzip", "xz"])
def test_compressions(compression: str, tmp_path: Path) -> None:
    build(tmp_path, "real", {"usr/x": "content"})
    command = ["dpkg-deb", f"-Z{compression}", "--uniform-compression", "--build"]
    subprocess.run([*command, str(tmp_path / "real-root"), str(tmp_path / "y.deb")], check=True, capture_output=True)
    deb = read(str(tmp_path / "y.deb"))
    found = {info.name: content.read() for info, archive in entries(deb) if (content := archive.extractfile(info))}
    assert found == {"./usr/x": b"content"}


def test_package_of_each_architecture(tmp_path: Path) -> None:
    path = tmp_path / "x.deb"
    path.write_bytes(forge([], control=CONTROL.replace("all", "amd64") + "Multi-Arch: same\n"))
    assert read(str(path)).key == "fake:amd64"


@pytest.mark.parametrize("data", [b"", b"!<arch>", b"PK\x03\x04", b"<html>gone</html>" * 9])
def test_wrong_magic(data: bytes, tmp_path: Path) -> None:
    assert "ar magic is missing" in _read(tmp_path, data)


@pytest.mark.parametrize("size", ["-60", "-5", "1e3", "x", "", "0x10"])
def test_size_of_a_member_lies(size: str, tmp_path: Path) -> None:
    """A size of -60 led back to the same header, for ever."""
    data = ar([_BINARY, ("control.tar.xz", b"x" * 60)], sizes={"control.tar.xz": size})
    assert "damaged ar header" in _read(tmp_path, data)


def test_members_are_missing(tmp_path: Path) -> None:
    control = ("control.tar", _control())
    data = ("data.tar", tar([]))
    for members in ([], [_BINARY], [_BINARY, control], [_BINARY, data], [control, data]):
        assert "is missing" in _read(tmp_path, ar(members))
    assert "no control file" in _read(tmp_path, ar([_BINARY, ("control.tar", tar([])), data]))


def test_truncated_package(tmp_path: Path) -> None:
    """Errors of lzma and tarfile came through, with no word of the package."""
    whole = forge([(member("./usr/x", data=b"x" * 9000), b"x" * 9000)])
    for length in (9, 70, 75, 140, 200, 300):
        _read(tmp_path, whole[:length])


@pytest.mark.parametrize("suffix", ["zst", "lzma", "bz2"])
def test_unknown_compression(suffix: str, tmp_path: Path) -> None:
    data = ar([_BINARY, (f"control.tar.{suffix}", b"x"), ("data.tar", b"")])
    assert "this compression is not supported" in _read(tmp_path, data)


@pytest.mark.parametrize("pack", [lzma.compress, gzip.compress])
def test_bomb_in_the_control_archive(pack: object, tmp_path: Path) -> None:
    """It was inflated to its end before anybody looked at its size."""
    assert callable(pack)
    suffix = "xz" if pack is lzma.compress else "gz"
    packed = pack(bytes(300 << 20))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    said = _read(tmp_path, ar([_BINARY, (f"control.tar.{suffix}", packed), ("data.tar", b"")]))
    assert "is larger than" in said
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 << 10


@pytest.mark.parametrize("name", ["../evil", "Fake", "a b", "", "x/../../y"])
def test_package_name_is_a_path(name: str, tmp_path: Path) -> None:
    """It becomes the name of files in dpkg's folder."""
    control = CONTROL.replace("Package: fake", f"Package: {name}")
    assert "names no package" in _read(tmp_path, forge([], control=control))


@pytest.mark.parametrize("name", ["sub/evil", "../evil", "/evil"])
def test_control_member_is_a_path(name: str, tmp_path: Path) -> None:
    control = tar([(member("./control"), b""), (member(name, data=b"x"), b"x")])
    data = ar([_BINARY, ("control.tar", control), ("data.tar", b"")])
    assert "unexpected control member" in _read(tmp_path, data)


def test_control_is_no_text(tmp_path: Path) -> None:
    control = tar([(member("./control", data=b"\xff\xfe"), b"\xff\xfe")])
    _read(tmp_path, ar([_BINARY, ("control.tar", control), ("data.tar", b"")]))


def test_truncated_data_archive(tmp_path: Path) -> None:
    path = tmp_path / "x.deb"
    packed = lzma.compress(tar([(member("./usr/x", data=b"x" * 90000), b"x" * 90000)]))
    path.write_bytes(forge([], data=packed[: len(packed) // 2]))
    with pytest.raises((EOFError, tarfile.TarError, lzma.LZMAError)):
        for info, archive in entries(read(str(path))):
            content = archive.extractfile(info)
            assert content is not None
            content.read()
