"""Built images, made once a run. What is downloaded is kept between runs, and checked when it is read."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from builder.platforms import NATIVE
from tests.conftest import Once
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
    words = (
        "unreachable",
        "none answers",
        "cannot reach",
        "cannot GET",
        "no source has",
        "Temporary failure",
        "timed out",
    )
    if any(word in said for word in words):
        absent(f"archive or index cannot be reached: {said[-500:]}")


@pytest.fixture(scope="session")
def downloads() -> Path:
    """A folder like a store with nothing but sources in it, which all runs on this machine share."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stackbuild-tests" / "e2e"
    (cache / "sources/sha256").mkdir(parents=True, exist_ok=True)
    return cache


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
    """Keep fetched files for later runs."""
    put(downloads / "sources/sha256", (site.store_path / "sources/sha256" / name for name in names))


def put(into: Path, files: Iterable[Path]) -> None:
    """Copy files that are not there yet under their names, each whole or not at all, whoever else does so meanwhile."""
    into.mkdir(parents=True, exist_ok=True)
    for path in files:
        if not (into / path.name).exists():
            with tempfile.TemporaryDirectory(dir=into.parent, prefix=".") as folder:
                shutil.copyfile(path, Path(folder, path.name)).rename(into / path.name)


@pytest.fixture(scope="session")
def catalogue(once: Once, tmp_path_factory: pytest.TempPathFactory, downloads: Path) -> Site:
    """The project's own base and jupyter, built from its committed locks."""
    need_root()

    def make(folder: Path) -> None:
        site = Site(ROOT, folder / "store").copy(folder / "project")
        build(site, downloads, "base", "jupyter")
        unpacked(site, "jupyter")

    return built(once("catalogue", make)).clone(tmp_path_factory.mktemp("catalogue"), unpacked=True)


def unpacked(site: Site, image: str) -> None:
    """See to it that whoever has a clone of the store starts the image without unpacking its layers."""
    code, said = site.inside(image, "true")
    assert code == 0, said


def built(folder: Path) -> Site:
    """The project of a folder that is made once a run. Each worker has a clone of it, which its tests may change."""
    return Site(folder / "project", folder / "store")


def tool(site: Site, program: str) -> None:
    """What the small project's `tool` runs: a line of Python."""
    path = site.folder / "overlays/tool/usr/local/bin/tool"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\nexec /opt/venv/bin/python -c '{program}'\n")
    path.chmod(0o755)


def lock(site: Site, downloads: Path) -> None:
    """Lock with what was downloaded before, and keep what was not."""
    share_sources(downloads, site.store_path)
    said = site.try_("lock")
    if said.code:
        need_network(said.err)
        pytest.fail(said.err)
    keep(site, downloads, {path.name for path in (site.store_path / "sources/sha256").iterdir()})


@pytest.fixture(scope="session")
def small(once: Once, tmp_path_factory: pytest.TempPathFactory, downloads: Path) -> Site:
    """A project of a few packages, locked and built."""
    need_root()

    def make(folder: Path) -> None:
        site = built(folder)
        site.folder.mkdir()
        (site.folder / "stacks.toml").write_text(SMALL)
        tool(site, "import packaging; print(packaging.__version__)")
        lock(site, downloads)
        build(site, downloads, "base", "tool")
        unpacked(site, "tool")

    return built(once("small", make)).clone(tmp_path_factory.mktemp("small"), unpacked=True)


def on_small(small: Site, folder: Path, manifest: str) -> Site:
    """Another project, whose image `base` is the small one's: locked and built already."""
    site = small.clone(folder, unpacked=True)
    (site.folder / "stacks.toml").write_text(manifest)
    shutil.rmtree(site.folder / "locks/tool")
    return site


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
