"""The jupyterlab service, with a stand-in for `jupyter` that tells how it was started."""

import ast
import json
import stat
from pathlib import Path
from typing import NamedTuple

import pytest

from .conftest import OVERLAYS
from .container import JOVYAN, RANDOM, ROOT, Identity, Image

EVERYONE = pytest.mark.parametrize("user", [ROOT, JOVYAN, RANDOM], ids=lambda user: user.name)
STAND_IN = """
import os, sys, time
umask = os.umask(0)
print(repr((sys.argv, dict(os.environ), os.getcwd(), umask)), flush=True)
time.sleep(1000)
"""
ENV = {"NB_PREFIX": "/notebook/team/mine", "PATH": "/opt/venv/bin:/usr/local/bin:/usr/bin:/bin"}


class Start(NamedTuple):
    """What the stand-in was given."""

    argv: list[str]
    environment: dict[str, str]
    folder: str
    umask: int


@pytest.fixture
def lab_image(notebook: Image) -> Image:
    """The notebook image with the stand-in at /opt/venv/bin/jupyter."""
    notebook.script("opt/venv/bin/jupyter", STAND_IN, shebang="/usr/bin/python3")
    return notebook


def started(image: Image, user: Identity = RANDOM, env: dict[str, str] | None = None) -> Start:
    container = image.start(user=user, env=ENV | (env or {}))
    container.wait_for("\n")
    lines = container.out.splitlines()
    container.kill()
    return Start(*ast.literal_eval(lines[-1]))


def test_it_is_started_as_kubeflow_expects(lab_image: Image) -> None:
    start = started(lab_image)
    assert start.argv[1] == "lab"
    assert set(start.argv[2:]) == {
        "--notebook-dir=/home/jovyan",
        "--ip=0.0.0.0",
        "--port=8888",
        "--no-browser",
        "--allow-root",
        "--ServerApp.token=",
        "--ServerApp.password=",
        "--ServerApp.allow_origin=*",
        "--ServerApp.allow_remote_access=True",
        "--ServerApp.authenticate_prometheus=False",
        "--ServerApp.base_url=/notebook/team/mine",
    }
    assert start.folder == "/home/jovyan"
    assert start.umask == 0o002, "files must be writable for the next uid of group 0"


def test_without_a_prefix_it_serves_at_the_root(lab_image: Image) -> None:
    assert "--ServerApp.base_url=/" in started(lab_image, env={"NB_PREFIX": ""}).argv


@EVERYONE
def test_its_own_folders_lie_outside_of_home_and_are_private(lab_image: Image, user: Identity) -> None:
    for _ in range(2):
        environment = started(lab_image, user).environment
        for name in ("JUPYTER_RUNTIME_DIR", "XDG_RUNTIME_DIR", "XDG_DATA_HOME"):
            assert environment[name].startswith(f"/tmp/jupyter-{user.uid}/")
            folder = lab_image.tmp / Path(environment[name]).relative_to("/tmp")
            for path in (folder, folder.parent):
                assert stat.S_IMODE(path.stat().st_mode) == 0o700
                assert path.stat().st_uid == user.uid
    shipped = {path.name for path in (OVERLAYS / "base/tmp_home/jovyan").iterdir()}
    assert {path.name for path in lab_image.home.iterdir()} == shipped, "nothing but the default files"


def test_a_folder_of_somebody_else_is_refused(lab_image: Image) -> None:
    (lab_image.tmp / f"jupyter-{RANDOM.uid}").mkdir(mode=0o777)
    outcome = lab_image.start("s6-svwait", "-d", "/run/service/jupyterlab", env=ENV).end()
    assert outcome.out == ""
    assert f"jupyterlab: fatal: /tmp/jupyter-{RANDOM.uid} belongs to somebody else" in outcome.err


@pytest.fixture
def poisoned(lab_image: Image, debian: Path) -> Image:
    """A home volume whose user site runs code in every Python that looks there."""
    for version in (debian / "usr/lib").glob("python3.*"):
        site = lab_image.home / ".local/lib" / version.name / "site-packages"
        site.mkdir(parents=True)
        (site / "usercustomize.py").write_text("print('poisoned')\n")
    return lab_image


def test_a_stale_user_site_does_not_shadow_the_image(poisoned: Image) -> None:
    start = started(poisoned)
    assert start.environment["PYTHONNOUSERSITE"] == "1", "kernels inherit it"


def test_the_user_site_can_be_asked_for(poisoned: Image) -> None:
    container = poisoned.start(env=ENV | {"PYTHONNOUSERSITE": ""})
    container.wait_for("poisoned\n")


def test_stale_kernelspecs_are_out_of_sight_and_the_users_config_is_not(lab_image: Image) -> None:
    environment = started(lab_image).environment
    assert "JUPYTER_DATA_DIR" not in environment and "JUPYTER_PATH" not in environment
    assert "JUPYTER_CONFIG_DIR" not in environment and "JUPYTER_NO_CONFIG" not in environment
    assert environment["JUPYTER_PREFER_ENV_PATH"] == "0"


def test_announcements_are_disabled_and_locked(overlays: dict[str, Path]) -> None:
    path = "usr/local/etc/jupyter/labconfig/page_config.json"  # jupyter_core's system level
    plugin = {"@jupyterlab/apputils-extension:announcements": True}
    config = json.loads((overlays["jupyter"] / path).read_text())
    assert config == {"disabledExtensions": plugin, "lockedExtensions": plugin}
