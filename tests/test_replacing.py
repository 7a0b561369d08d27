"""Files under their names are whole, the old ones or the new ones; a full disk is a real one."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from builder.replacing import replace, replacing


def test_several_files_on_a_full_disk(small_disk: Path) -> None:
    """None is replaced, none is removed and nothing is left, though the first would have had room."""
    first, second, gone = small_disk / "first", small_disk / "second", small_disk / "gone"
    first.write_text("old")
    gone.write_text("old")
    with pytest.raises(OSError) as caught:
        replace({first: "new", second: "x" * (4 << 20), gone: None})
    assert caught.value.errno == errno.ENOSPC
    assert {path.name: path.read_text() for path in small_disk.iterdir()} == {"first": "old", "gone": "old"}
    replace({first: "new", small_disk / "folder/second": "x", gone: None})
    assert sorted(path.name for path in small_disk.rglob("*")) == ["first", "folder", "second"]
    assert first.read_text() == "new"


def test_short_files_on_a_full_disk(small_disk: Path) -> None:
    """Short texts waited in buffers until some files had their names: a new lock came, and the manifest stayed."""
    first, second = small_disk / "first", small_disk / "second"
    first.write_text("old")
    with (small_disk / "ballast").open("wb", buffering=0) as ballast:
        with pytest.raises(OSError):
            while True:
                ballast.write(bytes(4096))
        ballast.truncate(ballast.tell() - 4096)  # Room for one file.
    with pytest.raises(OSError) as caught:
        replace({first: "new", second: "new"})
    assert caught.value.errno == errno.ENOSPC
    assert first.read_text() == "old" and not second.exists()


def test_an_error_while_writing_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(RuntimeError), replacing(path) as stream:
        stream.write(b"half of the n")
        raise RuntimeError
    assert [one.read_text() for one in tmp_path.iterdir()] == ["old"]


def test_modes_stay_and_links_are_not_followed(tmp_path: Path) -> None:
    path, link = tmp_path / "file", tmp_path / "link"
    path.write_text("old")
    path.chmod(0o640)
    link.symlink_to("file")
    replace({link: "new"})
    assert (link.is_symlink(), link.read_text(), path.read_text()) == (False, "new", "old")
    assert link.stat().st_mode & 0o777 == 0o640
