"""Builds on the workers of a Dask scheduler: the same digests, and each step once for all who want it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

from tests.e2e.dask.cluster import Cluster, alive, building, built_here, elsewhere, wait
from tests.e2e.project import Site
from tests.tools import need


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


def test_how_long_steps_took_is_known_to_the_client(site: Site, two: Cluster) -> None:
    """Its next plan is estimated from that."""
    before = set(two.logs())
    site.run("build", "slow", *elsewhere(two))
    assert set(two.logs()) - before
    key = next(one.plan_key for one in site.planned("slow").actions if one.kind == "run")
    row = json.loads((site.store_path / "took" / key.hex).read_bytes())
    assert 750 <= row["milliseconds"] < 600_000  # It sleeps for 1.5 s, and may share these with another step.


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


def test_nobody_else_reaches_a_cluster_on_loopback(two: Cluster) -> None:
    """A worker of a scheduler at tcp:// runs what anybody sends to its own port: it was open on all interfaces."""
    need("ss")

    def at() -> list[str]:
        ours = {two.process.pid, *alive(two.process.pid)}
        rows = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=True).stdout.splitlines()
        return [row.split()[3] for row in rows if any(f"pid={one}," in row for one in ours)]

    wait(lambda: len(at()) >= 6, "the scheduler and two workers listen, each with a page of its own")
    assert not [one for one in at() if not one.startswith("127.0.0.1:")]


def test_what_the_client_has_is_lent_to_workers(site: Site, two: Cluster) -> None:
    """And the step is performed again by another worker if the first is killed in the middle."""
    local = built_here(site, site.folder.with_name("local"), "slow")
    before = set(two.logs())
    with building(site, two, "slow") as (process, said):
        wait(lambda: bool(set(two.logs()) - before), "no worker has begun the script")
        (log,) = set(two.logs()) - before
        killed = two.worker(log.parts[-3])
        pool = alive(killed)
        os.kill(killed, signal.SIGKILL)
        assert process.wait(120) == 0, said.read_text()
    wait(lambda: not [one for one in pool if Path(f"/proc/{one}/cmdline").exists()], "its processes live on")
    assert local == site.digests("slow")
