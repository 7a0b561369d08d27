"""fix-permissions: what lies below a folder becomes the group's, and nothing is touched that need not be."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from tests.tools import need_root

PROGRAM = Path(__file__).parents[1] / "overlays/fix-permissions/usr/local/bin/fix-permissions"
GROUP = 4321


def fix(*folders: Path | str, group: str = str(GROUP), cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.environ["PATH"], "LC_ALL": "C"} | ({"NB_GID": group} if group else {})
    return subprocess.run([PROGRAM, *folders], env=env, cwd=cwd, capture_output=True, text=True, check=False)


def put(path: Path, mode: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")
    path.chmod(mode)
    return path


def state(folder: Path) -> dict[str, str]:
    """Path → type, mode and group."""
    paths = [folder, *sorted(folder.rglob("*"))]
    shown = {path: path.lstat() for path in paths}
    return {
        str(path.relative_to(folder)): f"{stat.filemode(one.st_mode)} {one.st_uid}:{one.st_gid}"
        for path, one in shown.items()
    }


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Files as an installer leaves them, and links that lead out of the folder."""
    need_root()
    tmp_path.chmod(0o755)
    outside = put(tmp_path / "outside/secret", 0o600)
    folder = tmp_path / "tree"
    put(folder / "plain", 0o644)
    put(folder / "program", 0o755)
    put(folder / "private", 0o600)
    put(folder / "own program", 0o700)
    put(folder / "sub/odd\nname", 0o444)
    (folder / "sub").chmod(0o700)
    (folder / "out").symlink_to(outside)
    (folder / "outer").symlink_to(outside.parent)
    (folder / "dangling").symlink_to("/nowhere")
    folder.chmod(0o755)
    return folder


FIXED = {
    ".": "drwxrwsr-x 0:4321",
    "plain": "-rw-rw-r-- 0:4321",
    "program": "-rwxrwxr-x 0:4321",
    "private": "-rw-rw---- 0:4321",
    "own program": "-rwxrwx--- 0:4321",
    "sub": "drwxrws--- 0:4321",
    "sub/odd\nname": "-r--rw-r-- 0:4321",
    "out": "lrwxrwxrwx 0:4321",
    "outer": "lrwxrwxrwx 0:4321",
    "dangling": "lrwxrwxrwx 0:4321",
}


def test_all_becomes_the_groups(tree: Path) -> None:
    done = fix(tree)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert state(tree) == FIXED


def test_links_are_not_followed(tree: Path) -> None:
    before = state(tree.parent / "outside")
    assert fix(tree).returncode == 0
    assert state(tree.parent / "outside") == before


def test_only_what_needs_it_is_touched(tree: Path) -> None:
    """A touched file lies in the next layer of an image once more: not even its ctime may move."""
    assert fix(tree).returncode == 0
    before = {path: path.lstat().st_ctime_ns for path in (tree, *tree.rglob("*"))}
    late = put(tree / "late", 0o644)
    assert fix(tree).returncode == 0
    changed = {path for path, when in before.items() if path.lstat().st_ctime_ns != when}
    assert changed <= {tree}  # Its time moved when the file was made.
    assert state(tree)["late"] == "-rw-rw-r-- 0:4321"
    assert late.lstat().st_gid == GROUP


def test_what_is_made_later_in_a_folder_is_the_groups(tree: Path) -> None:
    assert fix(tree).returncode == 0
    (tree / "sub/new").mkdir()
    assert (tree / "sub/new").stat().st_gid == GROUP


def test_several_folders_and_one_file(tree: Path) -> None:
    other = put(tree.parent / "-exec", 0o600)
    assert fix("-exec", tree / "sub", cwd=tree.parent).returncode == 0
    assert stat.filemode(other.stat().st_mode) == "-rw-rw----"
    assert state(tree)["sub"] == FIXED["sub"]
    assert state(tree)["plain"] == "-rw-r--r-- 0:0"


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("/", "/ is the whole image: /"),
        ("//", "/ is the whole image"),
        ("/usr/..", "/ is the whole image"),
        ("/proc/self/root", "this is a link"),
        ("outer", "this is a link: outer"),
        ("outer/", "this is a link: outer/"),
        ("outer/.", "this is a link: outer/."),
        ("gone", "this is not there: gone"),
        ("", "this is not there"),
    ],
)
def test_what_it_refuses(tree: Path, argument: str, words: str) -> None:
    """And then nothing is changed, of the other folders neither."""
    before, outside = state(tree), state(tree.parent / "outside")
    done = fix("sub", argument, cwd=tree)
    assert done.returncode == 1
    assert f"fix-permissions: fatal: {words}" in done.stderr
    assert (state(tree), state(tree.parent / "outside")) == (before, outside)


@pytest.mark.parametrize("group", ["", "users", "0 -o -true", "-1"])
def test_a_group_is_a_number(tree: Path, group: str) -> None:
    before = state(tree)
    done = fix(tree, group=group)
    assert done.returncode == 1
    assert "NB_GID is not the number of a group" in done.stderr
    assert state(tree) == before


def test_without_a_folder_it_says_how_it_is_called(tree: Path) -> None:
    done = fix()
    assert (done.returncode, "no folder is named" in done.stderr) == (1, True)


def test_what_one_may_not_change_is_an_error(tree: Path) -> None:
    command = ["setpriv", "--reuid=1234", f"--regid={GROUP}", "--clear-groups", "sh", "-s", "plain"]
    env = {"PATH": os.environ["PATH"], "LC_ALL": "C", "NB_GID": str(GROUP)}
    script = PROGRAM.read_text()  # Neither the checkout nor pytest's folders may be open to everybody.
    done = subprocess.run(command, env=env, cwd=tree, input=script, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "Operation not permitted" in done.stderr
    assert state(tree)["plain"] == "-rw-r--r-- 0:0"
