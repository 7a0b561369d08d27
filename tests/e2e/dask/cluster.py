"""A scheduler and workers of Dask's, and a small project whose steps they perform."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.conftest import SMALL
from tests.e2e.project import Site, share_sources
from tests.e2e.services import Registry, until
from tests.loopback import Certificates
from tests.tools import need_root

RUN = """
[images.slow]
from = "base"
overlays = ["tool"]
run = [{ name = "slow", script = "scripts/slow.sh" }]

[images.laid]
from = "base"
overlays = ["tool"]

[images.broken]
from = "base"
run = [{ name = "broken", script = "scripts/broken.sh" }]

[images.child]
from = "broken"
overlays = ["tool"]
"""
SLOW = "echo began; for one in 1 2 3; do sleep 0.5; done; echo slow > /opt/slow\n"
BROKEN = "echo the disk of the moon is full; exit 3\n"


@dataclass(frozen=True)
class Cluster:
    """A scheduler and workers that were started by one command, with a store for each worker."""

    process: subprocess.Popen[bytes]
    address: str
    folder: Path

    def store(self, name: str) -> Path:
        return self.folder / "store-workers" / name

    def worker(self, name: str) -> int:
        """The process of a worker."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return next(int(one) for one in children if f"--name\0{name}\0" in Path(f"/proc/{one}/cmdline").read_text())

    def logs(self) -> list[Path]:
        """What steps in the sandbox have said, wherever they ran."""
        return sorted(self.folder.glob("store-workers/*/logs/*.txt"))


@contextmanager
def cluster(
    folder: Path,
    workers: int,
    *sources: Path,
    more: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    yours: Path | None = None,
) -> Iterator[Cluster]:
    """Start it as docs/distributed.md says.

    Args:
        sources: stores whose downloads the workers have.
        more: options; `env`, variables of the workers.
        yours: a store in which all of them work; without it, each has its own, as on several machines.
    """
    need_root()
    for number in range(workers):
        for path in sources:
            share_sources(path, folder / "store-workers" / str(number + 1))
    folder.mkdir(parents=True, exist_ok=True)
    out = folder / "out"
    command = [sys.executable, "-P", "-m", "builder.cli", "workers", "--local", str(workers), "--port", "0", *more]
    command += [] if yours else ["--own-stores"]
    with out.open("wb") as output:
        environ = {**os.environ, "STACKBUILD_STORE": str(yours or folder / "store"), **(env or {})}
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environ)
    try:
        said = until(out, "--scheduler", process)
        yield Cluster(process, said.split("--scheduler ")[1].split()[0], folder)
    finally:
        process.terminate()
        process.wait(60)


def configured(folder: Path, made: Certificates) -> dict[str, str]:
    """Dask's configuration for TLS, as docs/distributed.md has it: the variable that names it."""
    folder.mkdir()
    one = f"{{ cert: {made.certificate}, key: {made.key} }}"
    sides = "".join(f"      {side}: {one}\n" for side in ("scheduler", "worker", "client"))
    text = f"distributed:\n  comm:\n    require-encryption: true\n    tls:\n      ca-file: {made.ca}\n{sides}"
    (folder / "tls.yaml").write_text(text)
    return {"DASK_CONFIG": str(folder)}


@contextmanager
def secured(folder: Path, env: Mapping[str, str]) -> Iterator[Cluster]:
    """A scheduler of Dask's own, over TLS, without workers."""
    folder.mkdir()
    log = folder / "scheduler.log"
    options = ["--protocol", "tls", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", *options]
    with log.open("wb") as output:
        process = subprocess.Popen(command, env={**os.environ, **env}, stdout=output, stderr=output)
    try:
        address = until(log, "Scheduler at: ", process).split("Scheduler at:")[1].split()[0]
        yield Cluster(process, address, folder)
    finally:
        process.terminate()
        process.wait(60)


def with_scripts(small: Site, registry: Registry, folder: Path, believed: str = "trusted = true") -> Site:
    """The small project with scripts, its base built already; its cache is a repository of the registry.

    Args:
        believed: who is, in `[cache]`.
    """
    found = small.clone(folder / "site")
    cache = f'[cache]\nplace = "oci://{registry.host}/{folder.name}"\n{believed}\n'
    (found.folder / "stacks.toml").write_text(SMALL + RUN + cache)
    (found.folder / "scripts").mkdir()
    (found.folder / "scripts/slow.sh").write_text(f"# {folder.name}\n" + SLOW)  # A step of this test alone.
    (found.folder / "scripts/broken.sh").write_text(f"# {folder.name}\n" + BROKEN)
    return found


def built_here(site: Site, folder: Path, *images: str) -> dict[str, str]:
    """What this machine comes to by itself, without a cache, from what the site has so far: digests of manifests."""
    local = site.clone(folder, unpacked=True)
    (local.folder / "stacks.toml").write_text(SMALL + RUN)
    assert local.run("build", *images, "--no-start").performed
    return local.digests(*images)


@contextmanager
def joined(cluster: Cluster, name: str, *more: str, env: Mapping[str, str] | None = None) -> Iterator[None]:
    """One more worker, until the end of the block."""
    command = [sys.executable, "-P", "-m", "builder.cli", "workers", "--scheduler", cluster.address]
    environ = {**os.environ, "STACKBUILD_STORE": str(cluster.store(name)), **(env or {})}
    said = cluster.folder / f"{name}.said"
    with said.open("wb") as output:
        process = subprocess.Popen([*command, "--name", name, *more], env=environ, stderr=output)
    try:
        until(said, f"worker {name}: ", process)
        yield
    finally:
        process.terminate()
        process.wait(60)


def elsewhere(cluster: Cluster) -> tuple[str, ...]:
    return ("--executor", "dask", "--scheduler", cluster.address, "--no-start")


@contextmanager
def building(site: Site, cluster: Cluster, *images: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """A build that runs; what it says goes to the file."""
    said = site.store_path.with_name(f"{site.store_path.name}.said")
    with said.open("wb") as output:
        process = subprocess.Popen(
            site.argv("build", *images, *elsewhere(cluster)), stdout=output, stderr=output, env=site.environ()
        )
    try:
        yield process, said
    finally:
        process.kill()
        process.wait()


def alive(process: int) -> list[int]:
    """The processes below one."""
    children = Path(f"/proc/{process}/task").glob("*/children")
    below = [int(one) for path in children for one in path.read_text().split()]
    return [*below, *(one for child in below for one in alive(child))]


def scripts(worker: int) -> list[int]:
    """The processes of a worker that run a script of the project."""
    return [one for one in alive(worker) if "run/stackbuild/script" in _command(one)]


def _command(process: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{process}/cmdline").read_text(errors="replace")
    return ""


def wait(what: Callable[[], bool], why: str) -> None:
    for _ in range(3000):
        if what():
            return
        time.sleep(0.02)
    raise AssertionError(why)
