"""Built images for the whole session. What is downloaded is kept between sessions, and checked when it is read."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.platforms import NATIVE
from tests.e2e import services
from tests.e2e.project import ROOT, Site, share_sources
from tests.e2e.services import Registry
from tests.tools import absent, need_root

SMALL = f"""
[project]
name = "small"
platforms = ["{NATIVE}"]

[archives.bookworm]
suites = ["bookworm"]

[layouts.plain]
user = "somebody"
uid = 1000
gid = 0
home = "/home/somebody"

[images.base]
from = "archive:bookworm"
layout = "plain"
apt = ["python3"]

[images.tool]
from = "base"
python = {{ from = "apt", prefix = "/opt/venv" }}
pip = ["packaging==24.2"]
overlays = ["tool"]
entrypoint = ["/usr/bin/true"]
"""


def need_network(said: str) -> None:
    """Tell a network that is not there from a failure of ours."""
    words = ("unreachable", "none answers", "cannot reach", "no source has", "Temporary failure", "timed out")
    if any(word in said for word in words):
        absent(f"archive or index cannot be reached: {said[-500:]}")


@pytest.fixture(scope="session")
def downloads() -> Iterator[Path]:
    """A folder like a store with nothing but sources in it."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stackbuild-tests" / "e2e"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield cache


def build(site: Site, downloads: Path, *targets: str) -> None:
    """Build with what was downloaded before, and keep what was not."""
    share_sources(downloads, site.store_path)
    said = site.try_("build", *targets)
    if said.code:
        need_network(said.err)
        pytest.fail(said.err)
    ends = [site.planned(image).image for image in targets]
    needed = [one for end in ends if end is not None for one in end.walk()]
    keep(site, downloads, {pin.digest.hex for action in needed for pin in action.sources.values()})


def keep(site: Site, downloads: Path, names: set[str]) -> None:
    """Keep fetched files for later sessions."""
    into = downloads / "sources/sha256"
    into.mkdir(parents=True, exist_ok=True)
    for name in names:
        if not (into / name).exists():
            shutil.copyfile(site.store_path / "sources/sha256" / name, into / f"{name}.new")
            (into / f"{name}.new").rename(into / name)


@pytest.fixture(scope="session")
def catalogue(tmp_path_factory: pytest.TempPathFactory, downloads: Path) -> Site:
    """The project's own base and jupyter, built from its committed locks."""
    need_root()
    folder = tmp_path_factory.mktemp("catalogue")
    site = Site(ROOT, folder / "store").copy(folder / "project", store=folder / "store")
    build(site, downloads, "base", "jupyter")
    return site


def small_site(folder: Path, downloads: Path, manifest: str, program: str) -> Site:
    """A project of a few packages, locked; its `tool` runs a line of Python."""
    need_root()
    site = Site(folder / "project", folder / "store")
    site.folder.mkdir()
    (site.folder / "stacks.toml").write_text(manifest)
    tool = site.folder / "overlays/tool/usr/local/bin/tool"
    tool.parent.mkdir(parents=True)
    tool.write_text(f"#!/bin/sh\nexec /opt/venv/bin/python -c '{program}'\n")
    tool.chmod(0o755)
    share_sources(downloads, site.store_path)
    said = site.try_("lock")
    if said.code:
        need_network(said.err)
        pytest.fail(said.err)
    keep(site, downloads, {path.name for path in (site.store_path / "sources/sha256").iterdir()})
    return site


@pytest.fixture(scope="session")
def small_locked(tmp_path_factory: pytest.TempPathFactory, downloads: Path) -> Site:
    """A project of a few packages, locked but not built."""
    program = "import packaging; print(packaging.__version__)"
    return small_site(tmp_path_factory.mktemp("small"), downloads, SMALL, program)


@pytest.fixture(scope="session")
def small(small_locked: Site, downloads: Path) -> Site:
    """That project, built."""
    build(small_locked, downloads, "base", "tool")
    return small_locked


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=Test", "-c", "user.email=test@example.com"]
    done = subprocess.run(["git", *who, "-C", str(folder), *arguments], capture_output=True, text=True, check=True)
    return done.stdout


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """Debian's registry, empty."""
    with services.registry(tmp_path_factory.mktemp("registry")) as found:
        yield found


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Docker's daemon, empty: what to set DOCKER_HOST to."""
    with services.daemon(tmp_path_factory.mktemp("docker")) as found:
        yield found
