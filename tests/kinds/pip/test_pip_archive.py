"""Wheels whose zip archive is hostile: seen from the directory, before a member is read."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from builder.errors import HostileInput
from builder.kinds.pip.archive import limited, members
from tests.fake_wheel import NAME, Forge, forged


def refused(path: Path) -> HostileInput:
    with pytest.raises(HostileInput) as caught, zipfile.ZipFile(path) as archive:
        limited(archive, path, NAME)
        members(archive, path, NAME)
    return caught.value


@pytest.mark.parametrize(
    "name",
    ["../evil.py", "a/../../evil.py", "/etc/evil", "..\\evil.py", "C:\\evil", "a\nb.py", "a\tb", "fake/..", "a/./b.py"],
)
def test_unsafe_member_name(name: str, tmp_path: Path) -> None:
    assert "unsafe path" in refused(forged(tmp_path / "w", name)).what


def test_nul_in_a_name(tmp_path: Path) -> None:
    error = refused(forged(tmp_path / "w", b"fake.py\0../../evil".decode(), recorded_as="fake.py"))
    assert "local and central names differ" in error.what


def test_member_twice(tmp_path: Path) -> None:
    forge = Forge()
    forge.add("fake.py", b"x = 1\n")
    forge.add("fake.py", b"x = 2\n")
    forge.sound({"fake.py": b"x = 2\n"})
    assert "a member stands twice" in refused(forge.save(tmp_path / "w")).what


def test_members_overlap(tmp_path: Path) -> None:
    """A quoted zip bomb: many names, one content (D. Fifield, "A better zip bomb")."""
    forge = Forge()
    at = forge.add("a.py", b"x" * 1000)
    forge.add("a.py2", b"x" * 1000, at=at)
    forge.sound({"a.py": b"x" * 1000, "a.py2": b"x" * 1000})
    assert "names differ" in refused(forge.save(tmp_path / "w")).what


def test_member_runs_into_the_next(tmp_path: Path) -> None:
    error = refused(forged(tmp_path / "w", "a.py", packed_size=60))
    assert "members overlap" in error.what


def test_member_runs_into_the_directory(tmp_path: Path) -> None:
    """The last member was not held against the central directory."""
    forge = Forge()
    forge.sound({"a.py": b"x"})
    forge.add("a.py", b"x", packed_size=40)
    assert "members overlap" in refused(forge.save(tmp_path / "w")).what


def test_link_in_a_wheel(tmp_path: Path) -> None:
    error = refused(forged(tmp_path / "w", "fake/link", b"/etc/passwd", mode=0o120777))
    assert "a link in a wheel" in error.what


@pytest.mark.parametrize("flags", [0x1, 0x41, 0x20, 0x2000])
def test_encrypted_member(flags: int, tmp_path: Path) -> None:
    assert "encrypted" in refused(forged(tmp_path / "w", "a.py", flags=flags)).what


@pytest.mark.parametrize("method", [12, 14, 93, 99])
def test_unknown_compression(method: int, tmp_path: Path) -> None:
    assert "compressed in a way" in refused(forged(tmp_path / "w", "a.py", method=method)).what


def test_honest_bomb_in_the_metadata(tmp_path: Path) -> None:
    """RECORD, WHEEL and entry_points.txt were inflated into memory, however large."""
    forge = Forge()
    forge.sound({}, recorded=bytes(70 << 20))
    assert "too large for a script or metadata" in refused(forge.save(tmp_path / "w")).what


def test_local_name_differs(tmp_path: Path) -> None:
    error = refused(forged(tmp_path / "w", "a.py", local_name=b"b.py"))
    assert "local and central names differ" in error.what


def test_no_local_header(tmp_path: Path) -> None:
    assert "no local header" in refused(forged(tmp_path / "w", "a.py", at=7)).what
