"""Which worker performs a step: one that offers what it takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.platforms import NATIVE
from tests.e2e.conftest import SMALL, build, lock
from tests.e2e.dask.cluster import Cluster, building, cluster, elsewhere, joined
from tests.e2e.project import Site, share_sources
from tests.e2e.services import Registry, until
from tests.e2e.test_platforms import OTHER, emulated


def performed(cluster: Cluster, worker: str) -> set[str]:
    return {path.name for path in (cluster.store(worker) / "actions").iterdir()}


def test_a_step_goes_where_its_root_has_room(small: Site, site: Site, tmp_path: Path) -> None:
    """The layer of a wheel takes more than the one worker has."""
    steps = site.forget("tool", "pip")
    assert steps
    with cluster(tmp_path / "cluster", 0) as found, joined(found, "small", "--memory", "100"), joined(found, "large"):
        site.run("build", "tool", *elsewhere(found))
        assert steps <= performed(found, "large")
        assert not steps & performed(found, "small")
    assert site.digests("tool") == small.digests("tool")


@pytest.mark.catalogue  # tests/test_executors_placing.py has the rule.
def test_a_step_that_is_too_large_for_all_goes_to_the_largest(site: Site, tmp_path: Path) -> None:
    steps = site.forget("tool", "pip")
    with (
        cluster(tmp_path / "cluster", 0) as found,
        joined(found, "less", "--memory", "10"),
        joined(found, "more", "--memory", "20"),
    ):
        site.run("build", "tool", *elsewhere(found))
        assert steps <= performed(found, "more")


@pytest.mark.catalogue  # A worker that begins with nothing, which takes its time.
def test_a_worker_without_a_sandbox_runs_no_programs(site: Site, tmp_path: Path) -> None:
    """Steps that need one wait for another worker, and the client says so."""
    with cluster(tmp_path / "cluster", 0) as alone, joined(alone, "plain", "--no-sandbox"):
        site.run("build", "laid", *elsewhere(alone))
        with building(site, alone, "slow") as (process, said):
            until(said, f"waiting for a worker that offers {NATIVE}, sandbox, as run slow of slow", process)
            with joined(alone, "whole"):
                assert process.wait(120) == 0, said.read_text()
        (log,) = alone.logs()
        assert log.parts[-3] == "whole"


def test_who_finds_no_worker_is_told(site: Site, tmp_path: Path) -> None:
    with cluster(tmp_path / "cluster", 0) as alone, building(site, alone, "laid") as (process, said):
        until(said, "waiting for a worker: the scheduler has none", process)


@pytest.mark.catalogue  # Debian's packages of another platform are configured by an emulator.
def test_another_platform_goes_to_who_offers_it(
    small: Site, registry: Registry, tmp_path: Path, downloads: Path
) -> None:
    """A worker that takes only its own platform's steps performs none of the other's; the digests are those of here."""
    emulated()
    site = small.clone(tmp_path / "site")
    cache = f'[cache]\nplace = "oci://{registry.host}/{tmp_path.name}"\ntrusted = true\n'
    both = SMALL.replace(f'platforms = ["{NATIVE}"]', f'platforms = ["{NATIVE}", "{OTHER}"]')
    (site.folder / "stacks.toml").write_text(both + cache)
    lock(site, downloads)
    with cluster(tmp_path / "cluster", 0) as found, joined(found, "native", "--no-emulation"):
        share_sources(downloads, found.store("any"))
        with building(site, found, f"base@{OTHER}") as (process, said):
            until(said, f"waiting for a worker that offers {OTHER}, as apt of base", process)
            with joined(found, "any"):
                assert process.wait(400) == 0, said.read_text()
        assert [log.parts[-3] for log in found.logs()] == ["any"]
    local = site.copy(tmp_path / "local", store=tmp_path / "local-store")
    build(local, downloads, f"base@{OTHER}")
    assert local.digests(f"base@{OTHER}") == site.digests(f"base@{OTHER}")
