"""What conda, micromamba and rattler read: the whole of a target, and it installs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from click.testing import CliRunner

from builder.cli import cli
from builder.errors import StackbuildError
from builder.exports import formats
from builder.manifest.model import Target
from builder.workflow.export import export
from builder.workflow.project import Project
from tests.conda_channel import Served, family
from tests.conda_world import MANIFEST, NOTEBOOK, Make, World
from tests.conda_world import channel as channel
from tests.conda_world import world as world

CHILD = """
[images.child]
from = "notebook"
variants = ["cuda"]
conda = ["only-extra"]
channels = ["main", "extra"]
"""
TARGET = Target.parse("child:cuda@linux/amd64")

INSTALL = """\
import asyncio, json, os, sys
from rattler import Channel, Gateway, MatchSpec, install
from rattler.explicit_environment.environment import ExplicitEnvironmentSpec

async def main(text, channels, folder):
    spec = ExplicitEnvironmentSpec.from_str(text)
    specs = [MatchSpec.from_url(one.url) for one in spec.packages]
    gateway = Gateway(cache_dir=folder + "/gateway")
    found = await gateway.query([Channel(one) for one in channels], ["linux-64", "noarch"], specs, recursive=False)
    records = [record for some in found for record in some]
    await install(
        records, folder + "/prefix", cache_dir=folder + "/cache", platform=spec.platform,
        show_progress=False, execute_link_scripts=False,
    )

asyncio.run(main(sys.stdin.read(), sys.argv[2:], sys.argv[1]))
sys.stdout.flush()
os._exit(0)
"""


@pytest.fixture
def locked(channel: Served, world: Make) -> World:
    """A family of two images, locked; its channel `main` is where only this machine knows."""
    found = world(NOTEBOOK.replace(', "gaudi"', "") + CHILD, head=_head())
    found.lock()
    return found


def _head() -> str:
    head = MANIFEST.replace('[channels]\nmain = "https://conda.example.com/main"\n', "")
    return head.replace('["linux/amd64", "linux/arm64"]', '["linux/amd64"]')


def _text(found: World, form: str, target: Target = TARGET) -> str:
    return export(Project(manifest=found.manifest, locks=found.locks, store=found.store), [target], form)


def test_the_explicit_form_names_every_file(locked: World, channel: Served) -> None:
    entries: dict[str, Any] = {}
    for name, files in family().items():
        for subdir in ("linux-64", "noarch"):
            for file, one in json.loads(files[f"{subdir}/repodata.json"])["packages.conda"].items():
                entries[f"{channel.url}/{name}/{subdir}/{file}#{one['md5']}"] = one["name"]
    head, mark, *urls = _text(locked, "conda-explicit").splitlines()[1:]
    assert (head, mark) == ("# platform: linux-64", "@EXPLICIT")
    own = ["libtiny", "only-extra", "python", "python_abi", "tiny-cudart", "tiny-lab", "tiny-server", "tiny-torch"]
    assert [entries[url] for url in urls] == own


def test_the_explicit_form_is_what_conda_lock_renders(channel: Served, world: Make) -> None:
    """Of an image without a parent, whose lock holds everything."""
    from conda_lock.conda_lock import render_lockfile_for_platform  # type: ignore[import-untyped]
    from conda_lock.lockfile import parse_conda_lock_file  # type: ignore[import-untyped]

    found = world(NOTEBOOK.replace('["cpu", "cuda", "gaudi"]', '["cuda"]'))
    found.lock()
    target = Target.parse("notebook:cuda@linux/arm64")
    theirs = render_lockfile_for_platform(
        lockfile=parse_conda_lock_file(found.locks.path(target, "conda")),
        extras=set(),
        kind="explicit",
        platform="linux-aarch64",
        include_dev_dependencies=False,
    )
    ours = _text(found, "conda-explicit", target).splitlines()
    assert {line for line in ours if "#" in line[1:]} == {line for line in theirs if "#" in line[1:]}


def test_the_explicit_form_installs_with_rattler(locked: World, channel: Served, tmp_path: Path) -> None:
    done = _install(_text(locked, "conda-explicit"), channel, tmp_path)
    assert done.returncode == 0, done.stderr
    prefix = tmp_path / "prefix"
    records = [json.loads(path.read_text()) for path in prefix.glob("conda-meta/*.json")]
    assert {one["name"]: one["build"] for one in records}["tiny-torch"] == "cuda_py312_1"
    assert len(records) == 8
    assert (prefix / "bin/python3").stat().st_mode & 0o111
    assert (prefix / "lib/python3.12/site-packages/Tiny_Lab-4.5.7.dist-info/METADATA").is_file()
    assert (prefix / "lib/libtiny.so.1.3.0").read_bytes().endswith(b"linux-64")


def test_the_explicit_form_says_what_the_files_must_be(locked: World, channel: Served, tmp_path: Path) -> None:
    path = next(one for one in channel.files if one.endswith("linux-64/libtiny-1.3.0-h1_0.conda"))
    channel.files[path] = channel.files[path.replace("1.3.0", "1.2.0")]
    done = _install(_text(locked, "conda-explicit"), channel, tmp_path)
    assert done.returncode != 0
    assert "hash" in done.stderr.lower() or "md5" in done.stderr.lower() or "sha" in done.stderr.lower()


def _install(text: str, channel: Served, folder: Path) -> subprocess.CompletedProcess[str]:
    urls = [f"{channel.url}/{name}" for name in ("main", "extra")]
    command = [sys.executable, "-c", INSTALL, str(folder), *urls]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=False)


def test_the_environment_form_is_exact(locked: World, channel: Served) -> None:
    found = yaml.safe_load(_text(locked, "conda-env"))
    assert found["name"] == "child"
    assert found["channels"] == [f"{channel.url}/main", f"{channel.url}/extra", "nodefaults"]
    assert found["dependencies"][0] == "libtiny=1.3.0=h1_0"
    assert "tiny-torch=2.12.0=cuda_py312_1" in found["dependencies"]
    assert len(found["dependencies"]) == 8


def test_no_credential_is_exported(locked: World, channel: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MAIN", "EXTRA"):
        monkeypatch.setenv(f"STACKBUILD_CHANNEL_{name}", f"https://me:hunter2@c.example.com/t/tk-secret/{name.lower()}")
    for form in ("conda-explicit", "conda-env"):
        text = _text(locked, form)
        assert "https://c.example.com/t/***/main" in text
        assert "hunter2" not in text and "tk-secret" not in text


def test_a_missing_lock_is_told(locked: World) -> None:
    locked.locks.path(TARGET, "conda").unlink()
    with pytest.raises(StackbuildError, match="lock is missing: child:cuda@linux/amd64, conda"):
        _text(locked, "conda-explicit")


@pytest.mark.parametrize("form", ["requirements", "pylock"])
def test_an_image_without_such_packages_has_nothing_to_export(locked: World, form: str) -> None:
    with pytest.raises(StackbuildError, match="no pip packages"):
        _text(locked, form)


def test_formats_are_found_by_their_files() -> None:
    assert {"conda-env", "conda-explicit", "kubeflow-spawner", "mermaid", "pylock", "requirements"} <= set(formats())
    assert not {"printable", "size-json", "yaml-text"} & set(formats()), "files beside them"


def test_the_command(locked: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STACKBUILD_STORE", str(locked.store.path))
    folder = str(locked.manifest.folder)

    def run(*words: str) -> Any:
        return CliRunner().invoke(cli, ["-C", folder, "export", *words])

    done = run("--format", "conda-explicit", str(TARGET))
    assert done.output == _text(locked, "conda-explicit")
    assert run("conda-explicit", str(TARGET)).output == done.output, "the format may be the first word"
    assert "several targets" in str(run("--format", "conda-explicit", "notebook").exception)
    assert "several targets" in str(run("conda-explicit").exception)
    assert "expected: one of conda-env" in str(run("--format", "yaml", str(TARGET)).exception)
    assert "no such format: child:cuda" in str(run(str(TARGET)).exception)
    assert run().exit_code == 2
