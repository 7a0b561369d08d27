"""The air gap: a bundle, unpacked on what has no network at all, builds the same images."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from builder.digest import Digest
from builder.program import known_wheels
from builder.workflow import bundle
from tests.e2e.conftest import keep, need_network, put
from tests.e2e.project import Said, Site, share_sources, tags
from tests.tools import absent, need

PYTHON = str(getattr(sys, "_base_executable"))  # noqa: B009


def alone(*command: str | Path, folder: Path, home: Path, **environ: str) -> Said:
    """Run a command without a network, a name server and anything that this machine's user has set."""
    done = subprocess.run(
        [str(shutil.which("unshare")), "--net", *map(str, command)],
        cwd=folder,
        env={"HOME": str(home), "PATH": os.defpath, "STACKBUILD_PYTHON": PYTHON, "LC_ALL": "C.UTF-8", **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=540,
    )
    return Said(done.returncode, done.stdout, done.stderr)


@dataclass(frozen=True)
class Away:
    """An unpacked bundle on another machine."""

    root: Path
    home: Path

    def try_(self, *words: str, **environ: str) -> Said:
        return alone("./stackbuild", *words, folder=self.root, home=self.home, **environ)

    def run(self, *words: str, **environ: str) -> Said:
        said = self.try_(*words, **environ)
        assert said.code == 0, said.err[-4000:]
        return said


@pytest.fixture(scope="module")
def file(small: Site, downloads: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of `tool` and its parent; what pip downloads for it is kept for later sessions."""
    need("unshare")
    share_sources(downloads, small.store_path)
    if (downloads / "wheels").is_dir():
        put(small.store_path / "wheels", (downloads / "wheels").iterdir())
    path = tmp_path_factory.mktemp("bundle") / "tool.tar"
    said = small.try_("bundle", "tool", "--output", str(path))
    if said.code:
        need_network(said.err)
        (absent if "pip cannot download" in said.err else pytest.fail)(said.err)
    wheels = known_wheels(small.store)
    assert wheels is not None
    keep(small, downloads, {one.digest.hex for one in wheels})
    put(downloads / "wheels", (small.store_path / "wheels").iterdir())
    assert said.out == f"{Digest.of_file(path).hex}  {path}\n"
    return path


@pytest.fixture(scope="module")
def away(file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Away]:
    folder = tmp_path_factory.mktemp("away")
    subprocess.run(["tar", "xf", file], cwd=folder, check=True)
    (folder / "home").mkdir()
    yield Away(folder / "small-bundle", folder / "home")
    shutil.rmtree(folder)


def test_a_second_bundle_asks_nobody_and_is_the_same(small: Site, file: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.tar"
    said = alone(
        *small.argv("bundle", "tool", "--output", str(again)),
        folder=tmp_path,
        home=tmp_path,
        STACKBUILD_STORE=str(small.store_path),
    )
    assert said.code == 0, said.err
    assert again.read_bytes() == file.read_bytes()
    assert list(tmp_path.iterdir()) == [again]
    told = small.run("bundle", "tool", "--dry-run").out
    assert "to be fetched: 0 files" in told


def test_the_machine_is_checked_before_it_is_used(away: Away, tmp_path: Path) -> None:
    """A wheel with another byte, one that is gone; nothing is installed. Another Python is named."""
    (pip,) = away.root.glob("wheels/packaging-*.whl")
    data = pip.read_bytes()
    pip.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    said = away.try_("status")
    assert said.code == 1 and f"wheels/{pip.name}: FAILED" in said.err and "unpack it again" in said.err
    pip.unlink()
    said = away.try_("status")
    assert said.code == 1 and f"wheels/{pip.name}: FAILED open or read" in said.err
    pip.write_bytes(data)
    (tmp_path / "python3").symlink_to("/bin/false")
    tools = [shutil.which(name) for name in ("sh", "readlink", "flock", "mkdir", "grep", "sha256sum", "cmp")]
    for tool in filter(None, tools):
        (tmp_path / Path(tool).name).symlink_to(tool)
    said = away.try_("status", PATH=str(tmp_path), STACKBUILD_PYTHON="")
    assert said.code == 1 and "error: no Python" in said.err, said.err
    assert not (away.root / ".venv/bundle").exists()


def test_what_is_missing_and_what_is_changed(small: Site, away: Away, tmp_path: Path) -> None:
    sources = away.root / "store/sources/sha256"
    planned = small.planned("tool")
    pins = {pin.name: pin for pin in bundle.pins({planned.target: planned}, [planned.target])}
    for name in ("packaging", "libc6"):
        (sources / pins[name].digest.hex).rename(tmp_path / name)
    said = away.try_("build", "tool")
    assert said.code == 1 and not said.performed
    assert "\nerror: offline, and 2 files are not in the store (" in said.err
    for name in ("packaging", "libc6"):
        assert f"{pins[name].kind} {name} {pins[name].version}: {Path(pins[name].filename).name}" in said.err
    assert "stackbuild bundle tool:cpu@" in said.err
    shutil.copyfile(tmp_path / "packaging", sources / pins["packaging"].digest.hex)
    data = (tmp_path / "libc6").read_bytes()
    (sources / pins["libc6"].digest.hex).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    said = away.try_("verify-bundle")
    assert said.code == 1 and f"store/sources/sha256/{pins['libc6'].digest.hex}: FAILED" in said.err
    said = away.try_("build", "base")
    assert said.code == 1 and "a file in the store has changed" in said.err and pins["libc6"].digest.hex in said.err
    assert not [step for step in said.performed if step.startswith(("apt", "image"))]
    (sources / pins["libc6"].digest.hex).write_bytes(data)
    away.run("verify-bundle")


def test_same_images_without_a_network(small: Site, away: Away) -> None:
    said = away.run("build", "base", "tool")
    assert said.out.splitlines() == [f"built: {small.planned(image).target}" for image in ("base", "tool")]
    found = tags(away.root / "store")
    assert {image: found[image] for image in ("base", "tool")} == small.digests("base", "tool")
    assert list(away.home.iterdir()) == []
    assert away.run("shell", "tool", "--", "tool").out == "24.2\n"
    away.run("lock", "--check")
    away.run("save", "tool", "--tag", "1.0", "--output", "tool.tar")


def test_it_may_be_moved(away: Away, tmp_path: Path) -> None:
    """What is set up names its folder, and is set up anew."""
    (tmp_path / "with blank").mkdir()
    moved = Away(away.root.rename(tmp_path / "with blank/bundle"), away.home)
    try:
        assert "unchanged: tool" in moved.run("build", "tool").out
        (tmp_path / "link").symlink_to(moved.root / "stackbuild")
        assert alone(tmp_path / "link", "shell", "tool", "--", "tool", folder=tmp_path, home=away.home).out == "24.2\n"
    finally:
        moved.root.rename(away.root)


@pytest.mark.parametrize(
    "words",
    [
        ["lock"],
        ["lock", "--upgrade"],
        ["push", "base", "--to", "registry.example.com/x/{image}"],
        ["promote", "a", "b", "base", "--to", "registry.example.com/x/{image}"],
        ["rollback", "a", "base", "--to", "registry.example.com/x/{image}"],
        ["build", "base", "--share", "--cache", "oci://registry.example.com/x"],
        ["run", "tool", "--host-network"],
        ["load", "base"],
    ],
    ids=" ".join,
)
def test_what_needs_a_network_is_refused(small: Site, words: list[str]) -> None:
    said = small.try_("--offline", *words, env={"DOCKER_HOST": "tcp://127.0.0.1:9"})
    assert said.code == 1
    assert said.err.splitlines()[-3].startswith("error: offline: "), said.err
    assert "next: " in said.err


def test_a_cache_is_not_asked(small: Site, tmp_path: Path) -> None:
    changed = small.copy(tmp_path / "project")
    (changed.folder / "overlays/tool/usr/local/bin/tool").write_text("#!/bin/sh\n")
    said = changed.run("--offline", "build", "tool", env={"STACKBUILD_CACHE": "oci://127.0.0.1:9/x"})
    assert "cache: not asked, as this run is offline" in said.err
    assert said.out.startswith("built: tool")
    small.run("build", "tool")
