"""`stackbuild lock` on a host without a sandbox, such as macOS: only an sdist needs one, and says so."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder import cli
from tests import tiny
from tests.loopback import Service, serve

ROOT = Path(__file__).parent.parent.parent
ELSEWHERE = """
import sys, sysconfig, types

class NoSandbox:
    def find_spec(self, name, path=None, target=None):
        if name in {"builder.sandbox", "builder.sandbox_child", "builder.runtime"}:
            raise ImportError(f"{name} is not for this system")

sys.meta_path.insert(0, NoSandbox())
# What the standard library has of macOS only there: how it was built, and what the system says about proxies.
sysconfig.get_config_vars()
sys.platform = "darwin"
sys.modules["_scproxy"] = types.SimpleNamespace(_get_proxies=dict, _get_proxy_settings=dict)
import builder.cli
builder.cli.main()
"""
APP = """
[images.app]
from = "base"
pip = ["app-lib"]
"""


@pytest.fixture
def project(tmp_path: Path) -> Iterator[tuple[Path, Service]]:
    (tmp_path / "project").mkdir()
    with serve(tmp_path / "served") as service:
        tiny.archive(service, tmp_path / "project")
        service.publish(*tiny.wheel("app-lib", "1.0", ["dep"]))
        service.publish(*tiny.wheel("dep", "1.0"))
        (tmp_path / "project/stacks.toml").write_text(tiny.MANIFEST + APP)
        yield tmp_path / "project", service


def lock(folder: Path, service: Service, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "HOME": str(folder.parent),
        "STACKBUILD_STORE": str(folder.parent / "store"),
        "STACKBUILD_MIRROR_TOY": service.url,
        "PIP_INDEX_URL": f"{service.url}/simple",
    }
    command = [sys.executable, "-P", "-c", ELSEWHERE, "-C", str(folder), "lock", *arguments]
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=200)


def test_apt_and_wheels(project: tuple[Path, Service]) -> None:
    for arguments in ([], ["--upgrade"], ["--refresh-missing"], ["--check"]):
        done = lock(*project, *arguments)
        assert done.returncode == 0, done.stderr
    made = {path.relative_to(project[0] / "locks").parent.name for path in (project[0] / "locks").rglob("*.*")}
    assert made == {"base", "app"}


def test_an_sdist_says_what_is_missing(project: tuple[Path, Service]) -> None:
    folder, service = project
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("old_lib-1.0/setup.py"))
    service.publish("old-lib", "old_lib-1.0.tar.gz", out.getvalue())
    for name in ("setuptools", "wheel"):  # What is required where an archive does not say.
        service.publish(*tiny.wheel(name, "80.0"))
    (folder / "stacks.toml").write_text(
        tiny.MANIFEST + APP.replace('["app-lib"]', '["app-lib", "old-lib"]\nsdists = ["old-lib"]')
    )
    done = lock(folder, service)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "old-lib==1.0 has no wheel" in done.stderr
    assert "no sandbox" in done.stderr
    assert "next: run on Linux: stackbuild lock app" in done.stderr


@pytest.mark.parametrize(("script", "can"), [("exit 0", True), ("exit 1", False), (None, False)])
def test_a_linux_that_refuses_namespaces_locks_as_who_one_is(
    script: str | None, can: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`unshare` was started anyway, and its refusal was the end of it."""
    if script is not None:
        (tmp_path / "unshare").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "unshare").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert cli._can_unshare() is can
