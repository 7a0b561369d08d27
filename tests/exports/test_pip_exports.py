"""What pip and uv read: the whole of a target's Python packages, by digest; pip and uv take it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import tomli
import uv
from packaging.pylock import Pylock

from builder.digest import Digest
from builder.errors import StackbuildError
from builder.kinds.pip.lockfile import PipLock, dumps
from builder.lock import Pin
from builder.locks import Locks
from builder.manifest.model import Target
from builder.manifest.read import loads
from builder.store import Store
from builder.workflow.export import export
from builder.workflow.project import Project
from tests.conda_world import MANIFEST
from tests.kinds.pip.conftest import Loopback
from tests.kinds.pip.conftest import index as index
from tests.kinds.pip.conftest import new_index as new_index

IMAGES = """
[images.base]
from = "archive:bookworm"
layout = "kubeflow"
python = { from = "apt", prefix = "/opt/venv" }
pip = ["alpha==1.0"]

[images.child]
from = "base"
pip = ["beta==2.0"]
"""
TARGET = Target.parse("child:cpu@linux/amd64")


@pytest.fixture
def project(tmp_path: Path, index: Loopback, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Two images with a wheel each, of the loopback index."""
    monkeypatch.setenv("PIP_INDEX_URL", index.url)
    monkeypatch.setenv("STACKBUILD_CONFIG", str(tmp_path / "config.toml"))
    (tmp_path / "config.toml").write_text("")
    (tmp_path / "stacks.toml").write_text(MANIFEST + IMAGES)
    manifest = loads(MANIFEST + IMAGES, tmp_path / "stacks.toml")
    for image, name, version in (("base", "alpha", "1.0"), ("child", "beta", "2.0")):
        data = index.wheel(name, version)
        pin = Pin(
            kind="pip",
            name=name,
            version=version,
            filename=f"{name}-{version}-py3-none-any.whl",
            digest=Digest.of(data),
            size=len(data),
        )
        path = tmp_path / "locks" / image / "linux-amd64.pip.txt"
        path.parent.mkdir(parents=True)
        request = (f"{name}=={version}",)
        path.write_text(
            dumps(PipLock(request=request, pins=(pin,), python="3.11.2", platform="linux/amd64", glibc="2.36"))
        )
    return Project(manifest=manifest, locks=Locks(tmp_path / "locks"), store=Store.open(tmp_path / "store"))


def test_pip_installs_the_requirements(project: Project, index: Loopback, tmp_path: Path) -> None:
    path = tmp_path / "requirements.txt"
    path.write_text(export(project, [TARGET], "requirements"))
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--target", str(tmp_path / "out")]
    subprocess.run([*command, "--index-url", index.url, "-r", str(path)], check=True, capture_output=True)
    assert (tmp_path / "out/alpha.py").is_file()
    assert (tmp_path / "out/beta.py").is_file()


def test_pip_refuses_other_bytes(project: Project, index: Loopback, tmp_path: Path) -> None:
    path = tmp_path / "requirements.txt"
    path.write_text(export(project, [TARGET], "requirements"))
    index.wheel("beta", "2.0", padding=10)
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--target", str(tmp_path / "out")]
    done = subprocess.run(
        [*command, "--index-url", index.url, "-r", str(path)], check=False, capture_output=True, text=True
    )
    assert done.returncode and "HASH" in done.stderr.upper()


def test_pylock_is_valid_and_uv_installs_it(project: Project, tmp_path: Path) -> None:
    path = tmp_path / "pylock.toml"
    path.write_text(export(project, [TARGET], "pylock"))
    found = Pylock.from_dict(tomli.loads(path.read_text()))
    assert [(one.name, str(one.version)) for one in found.packages] == [("alpha", "1.0"), ("beta", "2.0")]
    assert found.requires_python is not None and found.requires_python.contains("3.11.2")
    command = [uv.find_uv_bin(), "pip", "install", "--target", str(tmp_path / "out"), "-r", str(path)]
    more = ["--preview", "--python", sys.executable, "--cache-dir", str(tmp_path / "cache"), "--no-config"]
    done = subprocess.run([*command, *more], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out/beta.py").is_file()


def test_pylock_holds_no_credential(project: Project, index: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", index.url.replace("http://", "http://me:hunter2hunter2@"))
    text = export(project, [TARGET], "pylock")
    assert "hunter2" not in text and "me:" not in text


def test_a_file_that_no_index_has_any_more_is_named(project: Project, index: Loopback) -> None:
    del index.projects["beta"]["beta-2.0-py3-none-any.whl"]
    with pytest.raises(StackbuildError, match=r"no longer has beta-2\.0-py3-none-any\.whl"):
        export(project, [TARGET], "pylock")


def test_a_package_of_another_index_says_so(project: Project) -> None:
    path = project.locks.path(TARGET, "pip")
    path.write_text(path.read_text().rstrip("\n") + "\n    # index: torch-cpu\n")
    assert "# from the index torch-cpu\nbeta==2.0 \\\n" in export(project, [TARGET], "requirements")
