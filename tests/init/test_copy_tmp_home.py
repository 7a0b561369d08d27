"""01-copy-tmp-home: a home volume gets the image's defaults and keeps all that is the user's."""

import os
import stat
from pathlib import Path

import pytest

from .container import JOVYAN, RANDOM, ROOT, Identity, Image, Options

EVERYONE = pytest.mark.parametrize("user", [ROOT, JOVYAN, RANDOM], ids=lambda user: user.name)
DEFAULTS = "srv/defaults"
"""Not where the base image ships its own: what these tests expect must not change with those."""
ENV = {"S6_BEHAVIOUR_IF_STAGE2_FAILS": "2", "HOME_TMP": f"/{DEFAULTS}"}
SHIPPED = Path(__file__).parents[2] / "overlays/base/tmp_home/jovyan"


@pytest.fixture
def home_image(notebook: Image) -> Image:
    """The image with defaults of every sort; JupyterLab is there but does not start."""
    notebook.file("etc/services.d/jupyterlab/down", "")
    notebook.file(f"{DEFAULTS}/.bashrc", "default\n", 0o644)
    notebook.file(f"{DEFAULTS}/run me", "#!/bin/sh\n", 0o755)
    notebook.file(f"{DEFAULTS}/.ssh/key", "private\n", 0o600)
    notebook.file(f"{DEFAULTS}/.config/a/deep", "deep\n", 0o644)
    notebook.file(f"{DEFAULTS}/.config/new\nline", "odd\n", 0o644)
    notebook.folder(f"{DEFAULTS}/empty")
    defaults = notebook.folder(DEFAULTS)
    (defaults / "link").symlink_to(".config/a")
    (defaults / "dangling").symlink_to("/nowhere")
    for path in (defaults, *defaults.rglob("*")):
        os.chown(path, 1234567, 0, follow_symlinks=False)
    os.chown(defaults / ".ssh/key", 1234567, 0)
    return notebook


def snapshot(folder: Path) -> dict[str, tuple[int, ...]]:
    """All that a copy could have changed, of every file below."""
    return {
        str(path.relative_to(folder)): (
            found.st_mode,
            found.st_uid,
            found.st_ino,
            found.st_mtime_ns,
        )
        for path in (folder, *sorted(folder.rglob("*")))
        for found in (path.lstat(),)
    }


def modes(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): stat.filemode(path.lstat().st_mode) for path in sorted(folder.rglob("*"))}


@pytest.mark.parametrize("umask", ["0022", "0077"])
def test_an_empty_volume_gets_all_defaults_writable_for_the_group(home_image: Image, umask: str) -> None:
    outcome = home_image.start("true", user=RANDOM, options=Options(umask=umask), env=ENV).end()
    assert (outcome.code, outcome.err) == (0, "")
    home = home_image.home
    folder = "drwxrwsr-x"  # the volume's setgid bit is handed down
    assert modes(home) == {
        ".bashrc": "-rw-rw-r--",
        ".config": folder,
        ".config/a": folder,
        ".config/a/deep": "-rw-rw-r--",
        ".config/new\nline": "-rw-rw-r--",
        ".ssh": folder,
        ".ssh/key": "-rw-------",
        "dangling": "lrwxrwxrwx",
        "empty": folder,
        "link": "lrwxrwxrwx",
        "run me": "-rwxrwxr-x",
    }
    assert (home / ".config/a/deep").read_text() == "deep\n"
    assert (home / "link").readlink() == Path(".config/a")
    assert (home / "dangling").readlink() == Path("/nowhere")
    assert {(path.lstat().st_uid, path.lstat().st_gid) for path in home.rglob("*")} == {(RANDOM.uid, 0)}


@EVERYONE
def test_a_second_start_changes_nothing(home_image: Image, user: Identity) -> None:
    (home_image.folder(DEFAULTS) / ".ssh/key").chmod(0o644)
    assert home_image.start("true", user=user, env=ENV).end().code == 0
    before = snapshot(home_image.home)
    assert len(before) == 12
    assert home_image.start("true", user=user, env=ENV).end().code == 0
    assert snapshot(home_image.home) == before


def test_what_is_there_is_never_touched(home_image: Image) -> None:
    home = home_image.home
    (home / ".bashrc").write_text("mine\n")
    (home / ".bashrc").chmod(0o600)
    (home / "run me").symlink_to("/nowhere/either")
    (home / "link").write_text("a file where a link would come\n")
    (home / ".ssh").write_text("a file where a folder would come\n")
    (home / "elsewhere").mkdir()
    (home / "empty").symlink_to("elsewhere")
    (home / ".config").mkdir(mode=0o700)
    (home / ".config/a").symlink_to("../elsewhere")
    for path in (home, *home.rglob("*")):
        os.chown(path, RANDOM.uid, 0, follow_symlinks=False)
    before = snapshot(home)
    outcome = home_image.start("true", env=ENV).end()
    assert (outcome.code, outcome.err) == (0, "")
    after = snapshot(home)
    assert sorted(after.keys() - before.keys()) == [".config/new\nline", "dangling"]
    folders = (".", ".config")  # only their times may change
    for name in before.keys() - {*folders}:
        assert after[name] == before[name], name
    assert [after[name][:3] for name in folders] == [before[name][:3] for name in folders]
    assert (home / ".bashrc").read_text() == "mine\n"


def test_the_next_uid_can_write_what_the_first_was_given(home_image: Image) -> None:
    assert home_image.start("true", user=RANDOM, env=ENV).end().code == 0
    home_image.forget()
    write = "echo more >>$HOME/.bashrc && touch $HOME/.config/a/new"
    outcome = home_image.start("sh", "-c", write, user=JOVYAN, env=ENV).end()
    assert (outcome.code, outcome.err) == (0, "")
    assert (home_image.home / ".bashrc").read_text() == "default\nmore\n"


def test_without_home_tmp_the_defaults_are_those_that_the_base_image_ships(home_image: Image) -> None:
    home_image.start("true", env={"S6_BEHAVIOUR_IF_STAGE2_FAILS": "2"}).end()
    home = home_image.home
    shipped = {path.relative_to(SHIPPED): path.read_bytes() for path in SHIPPED.rglob("*")}
    assert {path.relative_to(home): path.read_bytes() for path in home.rglob("*")} == shipped
    assert {Path(".bashrc"), Path(".profile")} <= shipped.keys()


def test_an_image_without_defaults_starts(home_image: Image) -> None:
    outcome = home_image.start("echo", "cmd", env=ENV | {"HOME_TMP": "/none"}).end()
    assert (outcome.code, outcome.out, outcome.err) == (0, "cmd\n", "")


def test_a_home_that_is_not_writable_is_named(home_image: Image) -> None:
    home_image.home.chmod(0o755)
    outcome = home_image.start("echo", "never", env=ENV).end()
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.splitlines()[:3] == [
        "01-copy-tmp-home: fatal: the home folder is not writable: /home/jovyan",
        f"  got: {outcome.err.splitlines()[1].removeprefix('  got: ')}",
        "  next: give the volume to gid 0 with g+rwx (fsGroup in Kubernetes), or to uid 1234567",
    ]
    assert "drwxr-xr-x" in outcome.err.splitlines()[1]


def test_a_copy_that_fails_leaves_nothing_half_done(home_image: Image) -> None:
    """A truncated file would pass for the user's own at the next start, for ever."""
    os.chown(home_image.folder(DEFAULTS) / ".ssh/key", 0, 0)
    outcome = home_image.start("true", user=RANDOM, env=ENV).end()
    assert outcome.code == 1
    assert "01-copy-tmp-home: fatal: cannot copy to /home/jovyan" in outcome.err
    assert list(home_image.home.iterdir()) == []
