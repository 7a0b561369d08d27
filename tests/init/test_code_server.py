"""The code-server service, with a stand-in for `code-server` that tells how it was started."""

from __future__ import annotations

import ast
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from .container import JOVYAN, RANDOM, ROOT, Identity, Image

EVERYONE = pytest.mark.parametrize("user", [ROOT, JOVYAN, RANDOM], ids=lambda user: user.name)
STAND_IN = """
import os, sys, time
umask = os.umask(0)
print(repr((sys.argv[1:], dict(os.environ), os.getcwd(), umask)), flush=True)
time.sleep(1000)
"""
OUTSIDE = {
    "PATH": "/opt/npm/bin:/usr/local/bin:/usr/bin:/bin",
    "NB_PREFIX": "/notebook/team/mine",
    "PORT": "1",
    "CODE_SERVER_HOST": "127.0.0.1",
    "PASSWORD": "secret",
}


class Start(NamedTuple):
    """What the stand-in was given."""

    argv: list[str]
    environment: dict[str, str]
    folder: str
    umask: int


@pytest.fixture
def image(debian: Path, user_namespace: Path, overlays: dict[str, Path], tmp_path: Path) -> Iterator[Image]:
    """The image with the stand-in at /opt/npm/bin/code-server."""
    layers = (overlays["code-server"], overlays["base"], overlays["s6"], debian)
    built = Image(layers=layers, user_namespace=user_namespace, folder=tmp_path)
    built.script("opt/npm/bin/code-server", STAND_IN, shebang="/usr/bin/python3")
    yield built
    built.kill_all()


def started(image: Image, user: Identity = RANDOM) -> Start:
    container = image.start(user=user, env=OUTSIDE)
    container.wait_for("\n")
    lines = container.out.splitlines()
    container.kill()
    return Start(*ast.literal_eval(lines[-1]))


def test_it_is_started_as_the_image_says(image: Image) -> None:
    start = started(image)
    session = f"--session-socket=/tmp/code-server-{RANDOM.uid}/session"
    assert start.argv == ["--config=/etc/code-server/config.yaml", session, "/home/jovyan"]
    assert start.folder == "/home/jovyan"
    assert start.umask == 0o002, "files must be writable for the next uid of group 0"
    assert start.environment.keys().isdisjoint({"PORT", "CODE_SERVER_HOST", "PASSWORD"}), "they would change the config"


@EVERYONE
def test_its_own_folders_lie_outside_of_home(image: Image, user: Identity) -> None:
    environment = started(image, user).environment
    for name, mode in (("JUPYTER_RUNTIME_DIR", 0o700), ("XDG_RUNTIME_DIR", 0o700), ("XDG_DATA_HOME", 0o770)):
        folder = image.tmp / Path(environment[name]).relative_to("/tmp")
        assert stat.S_IMODE(folder.stat().st_mode) == mode, name
    assert environment["XDG_DATA_HOME"] == "/tmp/data-jovyan"


@EVERYONE
def test_another_uid_can_use_what_lies_on_the_volume(image: Image, user: Identity) -> None:
    """code-server itself makes some of these 0700."""
    for _ in range(2):
        started(image, user)
        data = image.home / ".local/share/code-server"
        folders = [path for path in (data, *data.rglob("*")) if path.is_dir()]
        assert {path.name for path in folders} >= {"extensions", "Machine", "History", "globalStorage"}
        assert [path for path in folders if not path.stat().st_mode & stat.S_IWGRP] == []


def test_a_folder_of_somebody_else_is_refused(image: Image) -> None:
    (image.tmp / f"code-server-{RANDOM.uid}").mkdir(mode=0o777)
    outcome = image.start("sleep", "0.2", env=OUTSIDE).end()
    assert outcome.out == ""
    assert f"code-server: fatal: /tmp/code-server-{RANDOM.uid} belongs to somebody else" in outcome.err
