"""Builds on the workers of a Dask scheduler: the same digests, whoever dies, and each step once for all who want it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.conftest import SMALL
from tests.e2e.project import Site, share_sources
from tests.e2e.services import Registry, until
from tests.loopback import certificates
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
def cluster(folder: Path, workers: int, *sources: Path) -> Iterator[Cluster]:
    """Start it as docs/distributed.md says."""
    need_root()
    for number in range(workers):
        for path in sources:
            share_sources(path, folder / "store-workers" / str(number + 1))
    folder.mkdir(parents=True, exist_ok=True)
    out = folder / "out"
    command = [sys.executable, "-P", "-m", "builder.cli", "workers", "--local", str(workers), "--port", "0"]
    with out.open("wb") as output:
        environ = {**os.environ, "STACKBUILD_STORE": str(folder / "store")}
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environ)
    try:
        said = until(out, "--scheduler", process)
        yield Cluster(process, said.split("--scheduler ")[1].split()[0], folder)
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture(scope="module")
def two(small: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("cluster"), 2, small.store_path) as found:
        yield found


@pytest.fixture
def site(small: Site, registry: Registry, tmp_path: Path) -> Site:
    """The small project with scripts, its base built already; its cache is the registry."""
    found = small.clone(tmp_path / "site")
    cache = f'[cache]\nplace = "oci://{registry.host}/{tmp_path.name}"\ntrusted = true\n'
    (found.folder / "stacks.toml").write_text(SMALL + RUN + cache)
    (found.folder / "scripts").mkdir()
    (found.folder / "scripts/slow.sh").write_text(f"# {tmp_path.name}\n" + SLOW)  # A step of this test alone.
    (found.folder / "scripts/broken.sh").write_text(f"# {tmp_path.name}\n" + BROKEN)
    return found


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


def wait(what: Callable[[], bool], why: str) -> None:
    for _ in range(3000):
        if what():
            return
        time.sleep(0.02)
    raise AssertionError(why)


def test_workers_come_to_the_same_digests(small: Site, site: Site, two: Cluster, tmp_path: Path) -> None:
    """From nothing but sources: Debian packages, wheels and an overlay."""
    empty = site.copy(tmp_path / "empty", store=tmp_path / "empty-store")
    said = empty.run("build", "tool", *elsewhere(two))
    assert empty.digests("tool") == small.digests("tool")
    assert any(line.startswith("apt of base") for line in said.performed)
    assert any(line.startswith("overlays of tool") for line in said.performed)
    assert empty.inside("tool", "tool")[1].strip() == "24.2"
    again = empty.run("build", "tool", *elsewhere(two))
    assert not again.performed


def test_what_the_client_has_is_lent_to_workers(site: Site, two: Cluster) -> None:
    """And the step is performed again by another worker if the first is killed in the middle."""
    local = site.clone(site.folder.with_name("local"), unpacked=True)
    before = set(two.logs())
    with building(site, two, "slow") as (process, said):
        wait(lambda: bool(set(two.logs()) - before), "no worker has begun the script")
        (log,) = set(two.logs()) - before
        killed = two.worker(log.parts[-3])
        pool = alive(killed)
        os.kill(killed, signal.SIGKILL)
        assert process.wait(120) == 0, said.read_text()
    wait(lambda: not [one for one in pool if Path(f"/proc/{one}/cmdline").exists()], "its processes live on")
    (local.folder / "stacks.toml").write_text(SMALL + RUN)  # Without a cache.
    assert "run slow of slow" in "".join(local.run("build", "slow", "--no-start").performed)
    assert local.digests("slow") == site.digests("slow")


def test_two_clients_have_a_step_performed_once(site: Site, two: Cluster, tmp_path: Path) -> None:
    other = site.clone(tmp_path / "other")
    before = set(two.logs())
    with building(site, two, "slow") as (one, said), building(other, two, "slow") as (another, too):
        assert one.wait(120) == 0, said.read_text()
        assert another.wait(120) == 0, too.read_text()
    assert site.digests("slow") == other.digests("slow")
    assert len(set(two.logs()) - before) == 1


def test_a_failure_is_told_once_with_its_log(site: Site, two: Cluster) -> None:
    said = site.try_("build", "child", "laid", *elsewhere(two))
    assert said.code == 1
    assert said.err.count("error: step failed: run broken of broken") == 1
    assert said.err.count("the disk of the moon is full") == 1
    (log,) = (site.store_path / "logs").glob("*.txt")
    assert log.read_text() == "the disk of the moon is full\n"
    assert str(log) in said.err
    assert "on the worker" in said.err
    said = site.run("build", "laid", *elsewhere(two))
    assert not said.performed  # What does not need it was finished.


@pytest.mark.catalogue  # A worker that begins with nothing, which takes its time.
def test_a_worker_without_a_sandbox_runs_no_programs(site: Site, tmp_path: Path) -> None:
    """Steps that need one wait for another worker, and the client says so."""
    with cluster(tmp_path / "cluster", 0) as alone:

        def join(name: str, *more: str) -> subprocess.Popen[bytes]:
            command = [sys.executable, "-P", "-m", "builder.cli", "workers", "--scheduler", alone.address]
            environ = {**os.environ, "STACKBUILD_STORE": str(alone.store(name))}
            return subprocess.Popen([*command, "--name", name, *more], env=environ, stderr=subprocess.DEVNULL)

        plain, whole = join("plain", "--no-sandbox"), None
        try:
            site.run("build", "laid", *elsewhere(alone))
            with building(site, alone, "slow") as (process, said):
                until(said, "waiting for a worker that offers sandbox, as run slow of slow", process)
                whole = join("whole")
                assert process.wait(120) == 0, said.read_text()
            (log,) = alone.logs()
            assert log.parts[-3] == "whole"
        finally:
            for worker in (plain, whole):
                if worker is not None:
                    worker.terminate()
                    worker.wait(60)


@pytest.mark.catalogue  # Who has no certificate asks for ten seconds.
def test_certificates_decide_who_takes_part(site: Site, tmp_path: Path) -> None:
    """As docs/distributed.md says: a scheduler of Dask's own, whose authority is ours alone."""
    made = certificates(tmp_path / "tls")
    sides = "".join(
        f"      {one}: {{ cert: {made.certificate}, key: {made.key} }}\n" for one in ("scheduler", "worker", "client")
    )
    (tmp_path / "dask").mkdir()
    text = f"distributed:\n  comm:\n    require-encryption: true\n    tls:\n      ca-file: {made.ca}\n{sides}"
    (tmp_path / "dask/tls.yaml").write_text(text)
    environ = {"DASK_CONFIG": str(tmp_path / "dask"), "STACKBUILD_STORE": str(tmp_path / "worker")}
    log = tmp_path / "scheduler.log"
    options = ["--protocol", "tls", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
    with log.open("wb") as output:
        scheduler = subprocess.Popen(
            [sys.executable, "-m", "distributed.cli.dask_scheduler", *options],
            env={**os.environ, **environ},
            stdout=output,
            stderr=output,
        )
    worker = None
    try:
        address = until(log, "Scheduler at: ", scheduler).split("Scheduler at:")[1].split()[0]
        command = [sys.executable, "-P", "-m", "builder.cli", "workers", "--scheduler", address]
        worker = subprocess.Popen(command, env={**os.environ, **environ}, stderr=subprocess.DEVNULL)
        order = ("build", "laid", "--executor", "dask", "--scheduler", address, "--no-start")
        stranger = site.try_(*order)
        assert stranger.code == 1
        assert f"no scheduler answers: {address}" in stranger.err
        assert site.run(*order, env={"DASK_CONFIG": environ["DASK_CONFIG"]}).performed
    finally:
        for one in (worker, scheduler):
            if one is not None:
                one.terminate()
                one.wait(60)


def test_a_scheduler_on_another_machine_is_known_by_its_certificate(site: Site) -> None:
    said = site.try_("build", "laid", "--executor", "dask", "--scheduler", "tcp://192.0.2.1:8786")
    assert said.code == 1
    assert "expected: tls://192.0.2.1:8786" in said.err


@pytest.mark.catalogue
def test_workers_that_die_all_the_time_finish(catalogue: Site, registry: Registry, tmp_path: Path) -> None:
    """Four of them, of which one is killed every ten seconds, from sources to the catalogue's jupyter."""
    site = catalogue.copy(tmp_path / "site", store=tmp_path / "site-store")
    with (site.folder / "stacks.toml").open("a") as manifest:
        manifest.write(f'\n[cache]\nplace = "oci://{registry.host}/dying"\ntrusted = true\n')
    killed = 0
    with cluster(tmp_path, 4, catalogue.store_path) as found, building(site, found, "jupyter") as (process, said):
        while process.poll() is None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
                break
            with suppress(StopIteration, FileNotFoundError):  # One that was killed may still be about to begin again.
                os.kill(found.worker(str(killed % 4 + 1)), signal.SIGKILL)
                killed += 1
            assert killed < 60, said.read_text()
        assert process.returncode == 0, said.read_text()
    assert killed
    assert site.digests("jupyter") == catalogue.digests("jupyter")
