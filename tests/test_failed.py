"""Roots of failed steps are kept as they were, also when they come from another file system."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from builder import failed
from builder.errors import StackbuildError
from builder.store import Store
from tests.tools import absent, need_root


@pytest.fixture
def upper(tmp_path: Path) -> Path:
    """An upper folder with all that one may hold: owners, modes, hard links, whiteouts, xattrs."""
    need_root()
    folder = tmp_path / "upper"
    (folder / "opaque").mkdir(parents=True)
    (folder / "su").write_bytes(b"x")
    os.chown(folder / "su", 7, 8)
    os.chmod(folder / "su", 0o4755)
    os.utime(folder / "su", (5, 5))
    os.link(folder / "su", folder / "hard")
    (folder / "link").symlink_to("/nowhere")
    os.mknod(folder / "gone", stat.S_IFCHR, 0)
    try:
        os.setxattr(folder / "opaque", "user.overlay.opaque", b"y")
        capability = bytes.fromhex("0100000200200000000000000000000000000000")
        os.setxattr(folder / "su", "security.capability", capability)
    except OSError:
        absent("this file system takes no xattrs")
    return folder


@pytest.mark.parametrize("far", [False, True])
def test_root_is_kept_whole(far: bool, upper: Path, store: Store, tmp_path: Path) -> None:
    if far:
        other = tmp_path / "other"
        other.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "none", str(other)], check=False).returncode:
            absent("this root may not mount")
        subprocess.run(["cp", "-a", str(upper), str(other)], check=True)
        upper = other / "upper"
    try:
        assert failed.keep(store, "abc", upper, (tmp_path / "lower",))
    finally:
        if far:
            subprocess.run(["umount", "--lazy", str(other)], check=True)
    found, lowers = failed.find(store, "abc")
    assert lowers == (tmp_path / "lower",)
    info = (found / "su").stat()
    assert (info.st_uid, info.st_gid, stat.S_IMODE(info.st_mode), info.st_mtime) == (7, 8, 0o4755, 5)
    assert (found / "hard").stat().st_ino == info.st_ino
    assert (found / "link").readlink() == Path("/nowhere")
    gone = (found / "gone").lstat()
    assert (stat.S_ISCHR(gone.st_mode), gone.st_rdev) == (True, 0)
    assert os.getxattr(found / "opaque", "user.overlay.opaque") == b"y"
    assert len(os.getxattr(found / "su", "security.capability")) == 20


def test_root_that_cannot_be_kept(store: Store, tmp_path: Path) -> None:
    assert not failed.keep(store, "abc", tmp_path / "absent", ())
    with pytest.raises(StackbuildError, match="no failed step abc"):
        failed.find(store, "abc")
