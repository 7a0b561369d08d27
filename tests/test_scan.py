"""A folder on disk becomes entries."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from builder.errors import HostileInput
from builder.layer import write
from builder.scan import scan
from builder.store import Store
from builder.tree import NEWEST, Entry, File
from tests.tools import need_root


def scanned(folder: Path, **owners: str) -> dict[str, Entry]:
    return {entry.path: entry for entry in scan(str(folder), owners)}


def test_files_links_and_folders(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir(mode=0o750)
    (tmp_path / "d/f").write_text("x")
    (tmp_path / "d/f").chmod(0o4711)
    os.utime(tmp_path / "d/f", (5, 5))
    (tmp_path / "d/l").symlink_to("../nowhere")
    found = scanned(tmp_path, d="one", **{"d/f": "two"})
    uid, gid = os.getuid(), (tmp_path / "d").stat().st_gid
    assert found["d"] == Entry("d", "dir", 0o750, uid, gid, owner="one")
    content = File(str(tmp_path / "d/f"), 1)
    assert found["d/f"] == Entry("d/f", "file", 0o4711, uid, gid, 5, content, owner="two")
    assert (found["d/l"].kind, found["d/l"].mode, found["d/l"].target) == ("link", 0o777, "../nowhere")


@pytest.mark.parametrize(("mtime", "kept"), [(NEWEST + 1, NEWEST), (2**33, NEWEST), (1, 1), (-1, 0), (-(2**31), 0)])
def test_times_are_clamped(mtime: int, kept: int, tmp_path: Path) -> None:
    """A time before 1970 became a minus sign in a field of octal digits: a tar that nobody reads."""
    (tmp_path / "f").write_text("x")
    os.utime(tmp_path / "f", (mtime, mtime))
    assert scanned(tmp_path)["f"].mtime == kept


def test_hard_links_stand_after_what_they_name(tmp_path: Path, store: Store) -> None:
    """Folders were read in one order and sorted in another: a layer held a link to a file that came later."""
    for folder in ("b", "a", "a-"):
        (tmp_path / "t" / folder).mkdir(parents=True)
    (tmp_path / "t/b/x").write_text("x")
    for name in ("a/y", "a-/z", "top"):
        os.link(tmp_path / "t/b/x", tmp_path / "t" / name)
    found = scanned(tmp_path / "t")
    assert {path: entry.target for path, entry in found.items() if entry.kind == "hardlink"} == {
        "a/y": "a-/z", "b/x": "a-/z", "top": "a-/z",
    }  # fmt: skip
    assert found["a-/z"].kind == "file"
    with store.new_blob() as incoming:
        write(sorted(found.values(), key=lambda entry: entry.path.encode()), incoming)


def test_names_that_are_no_text(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xe9")).write_text("x")
    assert list(scanned(tmp_path)) == ["\udcff\udce9"]


def test_top_folders_are_left_out(tmp_path: Path) -> None:
    for name in ("proc/x", "keep/proc"):
        (tmp_path / name).mkdir(parents=True)
    assert {entry.path for entry in scan(str(tmp_path), {}, frozenset({"proc"}))} == {"keep", "keep/proc"}


@pytest.mark.parametrize("kind", ["pipe", "socket", "device"])
def test_what_no_image_holds(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    if kind == "pipe":
        os.mkfifo("x")
    elif kind == "socket":
        socket.socket(socket.AF_UNIX).bind("x")
    else:
        need_root()
        os.mknod("x", 0o020600, os.makedev(1, 3))
    with pytest.raises(HostileInput, match="cannot be part of an image: /x"):
        scanned(tmp_path)


def test_whiteouts_and_opaque_folders(tmp_path: Path) -> None:
    need_root()
    (tmp_path / "d").mkdir()
    os.mknod(tmp_path / "d/gone", 0o020000, 0)
    os.setxattr(tmp_path / "d", "trusted.overlay.opaque", b"y")
    found = scanned(tmp_path)
    assert {(entry.path, entry.kind) for entry in found.values()} == {
        ("d", "dir"),
        ("d/.wh..opq", "whiteout"),
        ("d/gone", "whiteout"),
    }


def test_capabilities_are_kept_and_other_attributes_not(tmp_path: Path) -> None:
    need_root()
    (tmp_path / "ping").write_text("x")
    value = bytes.fromhex("0100000200200000000000000000000000000000")
    os.setxattr(tmp_path / "ping", "security.capability", value)
    os.setxattr(tmp_path / "ping", "user.note", b"x")
    assert scanned(tmp_path)["ping"].xattrs == (("security.capability", value),)
