"""stackbuild's own image, built by stackbuild: a scheduler and a worker run from it, and come to the same digests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from builder.signing import Signer
from tests.e2e import services
from tests.e2e.conftest import SMALL, build, lock
from tests.e2e.dask.cluster import RUN, SLOW, configured
from tests.e2e.project import ROOT, Site, share_sources
from tests.e2e.services import docker
from tests.loopback import certificates
from tests.tools import need_root

IMAGE = "stackbuild-dask"
SANDBOX = (
    "--security-opt=seccomp=unconfined",
    "--security-opt=apparmor=unconfined",
    "--security-opt=systempaths=unconfined",
)
"""What a container needs that makes sandboxes; --privileged is more, and not to be had everywhere."""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory, downloads: Path) -> Site:
    """The image, as examples/README.md says, of a copy of this checkout."""
    need_root()
    folder = tmp_path_factory.mktemp("own")
    checkout = folder / "checkout"
    for name in ("builder", "overlays", "scripts/requirements", "examples/workers"):
        left_out = shutil.ignore_patterns("__pycache__", "locks", "wheels", ".*_cache")
        shutil.copytree(ROOT / name, checkout / name, symlinks=True, ignore=left_out)
    for name in ("LICENSE", "README.md", "pyproject.toml"):
        shutil.copy(ROOT / name, checkout / name)
    environ = {**os.environ, "PYTHON": sys.executable}
    subprocess.run([checkout / "examples/workers/wheel"], env=environ, check=True)
    site = Site(checkout / "examples/workers", folder / "store")
    lock(site, downloads)
    build(site, downloads, IMAGE)
    return site


@contextmanager
def container(host: str, *arguments: str) -> Iterator[str]:
    """A container of the image; its id."""
    found = docker(host, "run", "--detach", *arguments).strip()
    try:
        yield found
    finally:
        said = docker(host, "logs", found)
        docker(host, "rm", "--force", "--volumes", found)
        print(said)


def until(host: str, container: str, words: str) -> str:
    """What a container has said, on whichever stream, as soon as these words are in it."""
    for _ in range(1200):
        done = subprocess.run(
            ["docker", "logs", container], env={**os.environ, "DOCKER_HOST": host}, capture_output=True, check=True
        )
        if words in (said := (done.stdout + done.stderr).decode()):
            return said
        running = docker(host, "inspect", "--format", "{{.State.Running}}", container).strip()
        assert running == "true", said
        time.sleep(0.1)
    raise AssertionError(f"{words!r} was never said: {said}")


@pytest.mark.catalogue
def test_a_cluster_of_its_own_image(own: Site, small: Site, tmp_path: Path) -> None:
    """Over TLS, in containers, with a key for the cache that the client does not have."""
    number = os.getpid() % 200 + 20
    address = f"10.214.{number}.1"
    made = certificates(tmp_path / "tls")
    key = tmp_path / "cache.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(key)], check=True)
    public = Signer(str(key)).public
    with (
        services.bridge(f"sb-own-{number}", f"{address}/24") as bridge,
        services.daemon(tmp_path / "docker", bridge=bridge) as host,
        services.registry(tmp_path / "registry", address=address) as registry,
    ):
        (image, *_) = own.run("load", IMAGE, env={"DOCKER_HOST": host}).out.split()
        environ = configured(tmp_path / "dask", made)
        common = ["--env", f"DASK_CONFIG={tmp_path}/dask"]
        common += [f"--volume={one}:{one}:ro" for one in (tmp_path / "dask", tmp_path / "tls", key)]
        site = small.clone(tmp_path / "site")
        cache = f'[cache]\nplace = "oci://{registry.host}/own"\nkeys = ["{public}"]\n'
        platforms = SMALL.replace("[project]\n", f'[project]\nplain-http = ["{registry.host}"]\n')
        (site.folder / "stacks.toml").write_text(platforms + RUN + cache)
        (site.folder / "scripts").mkdir()
        (site.folder / "scripts/slow.sh").write_text(SLOW)
        (site.folder / "scripts/broken.sh").write_text("exit 3\n")
        empty = site.copy(tmp_path / "empty", store=tmp_path / "empty-store")
        # At this machine's address on the bridge, as its firewall may keep containers from each other.
        scheduler = ["dask", "scheduler", "--protocol", "tls", "--host", address, "--port", "0", "--no-dashboard"]
        with container(host, *common, "--network=host", image, *scheduler) as first:
            tls = until(host, first, "Scheduler at: ").split("Scheduler at:")[1].split()[0]
            worker = ["stackbuild", "workers", "--scheduler", tls, "--name", "one"]
            share_sources(small.store_path, tmp_path / "worker")  # A container reaches no archive from this bridge.
            own_store = [f"--volume={tmp_path}/worker:/store", "--env", f"STACKBUILD_CACHE_KEY={key}"]
            with container(host, *common, *SANDBOX, *own_store, image, *worker) as second:
                until(host, second, "worker one: stackbuild")
                order = ("build", "tool", "slow", "--executor", "dask", "--scheduler", tls, "--no-start")
                said = empty.run(*order, env=environ)
    assert any(line.startswith("apt of base") for line in said.performed)
    assert any(line.startswith("run slow of slow") for line in said.performed)
    (site.folder / "stacks.toml").write_text(SMALL + RUN)
    site.run("build", "slow", "--no-start")
    assert empty.digests("tool", "slow") == site.digests("tool", "slow")
