"""The environment of an image."""

from __future__ import annotations

from pathlib import Path

from builder.manifest.env import PATH, image_env
from builder.manifest.model import Target
from builder.manifest.read import read

HERE = Path(__file__).parent


def test_layout_and_ancestors() -> None:
    manifest = read(HERE / "sketch.toml")
    base = {
        "HOME": "/home/jovyan",
        "HOME_TMP": "/tmp_home/jovyan",
        "LANG": "en_US.UTF-8",
        "NB_GID": "0",
        "NB_PREFIX": "/",
        "NB_UID": "1000",
        "NB_USER": "jovyan",
        "PATH": PATH,
    }
    assert image_env(manifest, Target("base", "cpu", "linux/amd64")) == base
    assert list(image_env(manifest, Target("base", "cpu", "linux/amd64"))) == sorted(base)
    assert image_env(manifest, Target("jupyter-scipy", "cpu", "linux/amd64")) == base | {
        "PATH": f"/opt/venv/bin:{PATH}"
    }


def test_variant() -> None:
    manifest = read(HERE / "sketch.toml")
    assert "NVIDIA_VISIBLE_DEVICES" not in image_env(manifest, Target("jupyter-pytorch", "cpu", "linux/amd64"))
    assert image_env(manifest, Target("jupyter-pytorch", "cuda", "linux/amd64"))["NVIDIA_VISIBLE_DEVICES"] == "all"


def test_sibling_with_its_own_path() -> None:
    """Its own layout has no template, so neither has it HOME_TMP; the venv still comes first in its PATH."""
    env = image_env(read(HERE / "sketch.toml"), Target("jupyter-openshift", "cpu", "linux/amd64"))
    assert env["HOME"] == "/opt/app-root"
    assert env["NB_UID"] == "1001"
    assert "HOME_TMP" not in env
    assert env["PATH"] == "/opt/venv/bin:/opt/app-root/bin:/usr/bin"


def test_the_catalogue_has_what_kubeflow_expects() -> None:
    env = image_env(read(HERE.parent.parent / "stacks.toml"), Target("jupyter-scipy", "cpu", "linux/amd64"))
    assert env == {
        "HOME": "/home/jovyan",
        "HOME_TMP": "/tmp_home/jovyan",
        "LANG": "en_US.UTF-8",
        "LANGUAGE": "en_US.UTF-8",
        "LC_ALL": "en_US.UTF-8",
        "NB_GID": "0",
        "NB_PREFIX": "/",
        "NB_UID": "1000",
        "NB_USER": "jovyan",
        "PATH": f"/opt/venv/bin:{PATH}",
        "S6_BEHAVIOUR_IF_STAGE2_FAILS": "2",
        "S6_CMD_WAIT_FOR_SERVICES_MAXTIME": "300000",
        "SHELL": "/bin/bash",
        "USERS_GID": "100",
    }
