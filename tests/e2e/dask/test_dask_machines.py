"""Workers die, hang and run full: a build goes on, and comes to the same."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e.dask.cluster import (
    building,
    built_here,
    cluster,
    elsewhere,
    joined,
    scripts,
    wait,
)
from tests.e2e.project import Site, share_sources
from tests.e2e.services import Registry


def test_a_step_that_hangs_is_begun_again_elsewhere(site: Site, tmp_path: Path) -> None:
    """Its worker ends with all that it started: here its script is stopped, and does nothing any more."""
    with (
        cluster(tmp_path / "cluster", 2, more=("--patience", "10")) as found,
        building(site, found, "slow") as (process, said),
    ):
        wait(lambda: bool(found.logs()), "no worker has begun the script")
        (log,) = found.logs()
        worker = found.worker(log.parts[-3])
        wait(lambda: bool(scripts(worker)), "its script does not run")
        (script, *_) = scripts(worker)
        os.kill(script, signal.SIGSTOP)
        assert process.wait(240) == 0, said.read_text()
        assert not Path(f"/proc/{script}").exists()
    assert "run slow of slow:cpu" in said.read_text()
    assert " s on the worker " in said.read_text()
    assert "is begun again elsewhere" in said.read_text()


@pytest.mark.catalogue  # tests/test_executors_clearing.py has the rule.
def test_a_worker_whose_store_is_full_clears_it(small: Site, site: Site, tmp_path: Path) -> None:
    """Before it begins the next step; what that reads comes from the cache."""
    local = built_here(site, tmp_path / "local", "slow")
    with cluster(tmp_path / "cluster", 0) as found:
        sources = found.store("full") / "sources/sha256"
        share_sources(small.store_path, found.store("full"))
        before = {pin.digest.hex for action in small.planned("base").actions for pin in action.pins}
        assert before <= {path.name for path in sources.iterdir()}
        with joined(found, "full", "--store-limit", "1000000"):
            site.run("build", "slow", *elsewhere(found))
        left = [path for path in sources.iterdir() if path.name in before]
        assert len(left) < len(before) and sum(path.stat().st_size for path in left) <= 1_000_000
    assert local == site.digests("slow")


def test_workers_work_in_the_store_of_the_client(site: Site, small: Site, tmp_path: Path) -> None:
    """No file comes back through the cache, and one that is killed leaves nothing that the others could trip over."""
    local = built_here(site, tmp_path / "local", "slow", "tool")
    empty = site.copy(tmp_path / "empty", store=tmp_path / "empty-store")
    share_sources(small.store_path, empty.store_path)
    with cluster(tmp_path / "cluster", 2, yours=empty.store_path) as found:
        with building(empty, found, "slow", "tool") as (process, said):
            logs = empty.store_path / "logs"
            wait(lambda: any("began" in path.read_text() for path in logs.glob("*.txt")), "no worker began the script")
            (busy,) = (worker for worker in map(found.worker, ("1", "2")) if scripts(worker))
            os.kill(busy, signal.SIGKILL)
            assert process.wait(180) == 0, said.read_text()
        assert "cache: took" not in said.read_text()
        assert not (tmp_path / "cluster/store-workers").exists()
    assert local == empty.digests("slow", "tool")
    assert "nothing is wrong" in empty.run("store", "check").err


def test_a_limit_is_for_stores_of_workers_alone(small: Site) -> None:
    said = small.try_("workers", "--local", "1", "--store-limit", "1")
    assert said.code == 2
    assert "--store-limit empties a worker's store, not yours: --own-stores" in said.err
    said = small.try_("workers", "--scheduler", "tcp://127.0.0.1:1", "--own-stores")
    assert said.code == 2
    assert "--own-stores is for --local N" in said.err


def test_a_scheduler_that_dies_is_told(site: Site, tmp_path: Path) -> None:
    with cluster(tmp_path / "cluster", 1) as found, building(site, found, "slow") as (process, said):
        wait(lambda: bool(found.logs()), "no worker has begun the script")
        found.process.kill()
        assert process.wait(120) == 1
        assert "the scheduler went away" in said.read_text()
        assert "Traceback" not in said.read_text()


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
