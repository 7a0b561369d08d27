"""The file of a bundle, read by tar(1) and sha256sum(1)."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from builder.errors import HostileInput
from builder.transports.bundle import Member, from_bytes, from_file, size, stream, sums
from builder.tree import NEWEST

LONG = "a/" + "very-long-name/" * 12 + "file"
ODD = ("two words", "ünïcode", "new\nline", "back\\slash", "latin-\udce9")


def members(folder: Path) -> list[Member]:
    (folder / "tool").write_bytes(b"#!/bin/sh\n" + bytes(3 << 20))
    (folder / "tool").chmod(0o755)
    found = [from_file("bin/tool", folder / "tool"), from_bytes(LONG, b"long"), from_bytes("empty", b"")]
    found += [from_bytes(f"odd/{name}", name.encode("utf-8", "surrogateescape")) for name in ODD]
    return [*found, Member(name="bin/link", target="tool"), Member(name="bin/away", target="/nowhere")]


def packed(folder: Path, found: list[Member]) -> bytes:
    return b"".join(stream("top", [*found, sums(found)]))


def test_tar_unpacks_it_and_sha256sum_agrees(tmp_path: Path) -> None:
    data = packed(tmp_path, members(tmp_path))
    subprocess.run(["tar", "xf", "-"], input=data, cwd=tmp_path, check=True)
    top = tmp_path / "top"
    assert (top / "bin/tool").read_bytes() == (tmp_path / "tool").read_bytes()
    assert (top / "bin/tool").stat().st_mode & 0o777 == 0o755
    assert (top / "empty").stat().st_mode & 0o111 == 0
    assert (top / "bin/tool").stat().st_mtime == NEWEST
    assert (top / "bin/link").readlink() == Path("tool")
    assert (top / "bin/away").readlink() == Path("/nowhere")
    assert (top / LONG).read_bytes() == b"long"
    for name in ODD:
        assert (top / "odd" / name).read_bytes() == name.encode("utf-8", "surrogateescape")
    check = ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"]
    subprocess.run(check, cwd=top, check=True)
    (top / "odd/two words").write_bytes(b"two wordz")
    assert subprocess.run(check, cwd=top, capture_output=True, check=False).returncode == 1
    listed = subprocess.run(["tar", "tvf", "-"], input=data, capture_output=True, check=True).stdout
    assert {line.split()[1] for line in listed.splitlines()} == {b"0/0"}


def test_same_members_same_bytes(tmp_path: Path) -> None:
    found = members(tmp_path)
    data = packed(tmp_path, found)
    assert data == packed(tmp_path, found[::-1])
    assert len(data) == size("top", [*found, sums(found)])


@pytest.mark.parametrize("now", [b"#!/bin/sh\n" + b"\1" * (3 << 20), b"shorter", b""])
def test_a_file_that_changed_since(tmp_path: Path, now: bytes) -> None:
    found = members(tmp_path)
    (tmp_path / "tool").write_bytes(now)
    with pytest.raises(HostileInput, match="a file is not what it was") as caught:
        packed(tmp_path, found)
    assert str(tmp_path / "tool") in str(caught.value)
