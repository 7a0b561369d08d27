"""Why a target has a package, from the project's own locks."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from builder.kinds.apt import requires as apt
from builder.kinds.pip import requires as pip
from builder.locks import Locks
from builder.manifest.model import Target
from builder.manifest.read import read
from tests.e2e.project import ROOT, Site

SCIPY = Target("jupyter-scipy", "cpu", "linux/amd64")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(ROOT, tmp_path / "store")


def test_pips_edges_are_those_that_the_solver_told() -> None:
    """uv's `via` lines, which name everybody who requires a package, say the same the other way round."""
    manifest, locks = read(ROOT / "stacks.toml"), Locks(ROOT / "locks")
    found = [lock for one in manifest.lineage(SCIPY) if (lock := locks.read(one, "pip")) is not None]
    edges = pip.requires(found)
    told = {(via, pin.name) for pin in found[-1].pins for via in pin.via if via != "stacks.toml"}
    names = {pin.name for pin in found[-1].pins}
    assert {(one, other) for one, needs in edges.items() for other in needs if other in names} == told


def test_everything_that_debian_brings_is_asked_for_or_required() -> None:
    locks = Locks(ROOT / "locks")
    lock = locks.read(Target("base", "cpu", "linux/amd64"), "apt")
    assert lock is not None
    edges, asked = apt.requires([lock]), apt.asked(lock)
    assert asked.keys() - {pin.name for pin in lock.pins} == set()
    assert asked["perl-base"] == "essential" and asked["git"] == "git"
    required = {other for needs in edges.values() for other in needs}
    assert {pin.name for pin in lock.pins} <= required | asked.keys()


def test_why(site: Site) -> None:
    text = site.run("why", "threadpoolctl", "jupyter-scipy").out
    (heading, where, chain) = text.splitlines()[:3]
    assert re.fullmatch(r"threadpoolctl [0-9.]+ \(pip, locked in jupyter-scipy\)", heading)
    assert where == "  in jupyter-scipy:cpu@linux/amd64, jupyter-scipy:cpu@linux/arm64"
    line = int(re.fullmatch(r"  threadpoolctl ← scikit-learn ← stacks.toml:([0-9]+): scikit-learn==.*", chain)[1])  # type: ignore[index]
    assert "scikit-learn==" in (ROOT / "stacks.toml").read_text().splitlines()[line - 1]


def test_why_an_ancestor_has_it(site: Site) -> None:
    (row,) = json.loads(site.run("why", "libssl3", "jupyter-scipy@linux/amd64", "--json").out)
    assert (row["target"], row["kind"], row["image"]) == (str(SCIPY), "apt", "base")
    assert [chain[0] for chain in row["chains"]] == ["libssl3"] * len(row["chains"])
    assert any(asked.startswith("stacks.toml:") and asked.endswith(": curl") for asked in row["asked"])


def test_names_as_people_write_them(site: Site) -> None:
    assert site.run("why", "Typing_Extensions", "jupyter").out == site.run("why", "typing-extensions", "jupyter").out


def test_nothing_of_that_name(site: Site) -> None:
    said = site.try_("why", "left-pad")
    assert said.code == 1
    assert "no package of that name in these locks: left-pad" in said.err


def test_tree(site: Site) -> None:
    lines = site.run("tree", "jupyter", "--depth", "1").out.splitlines()
    assert lines[0] == "pip"
    assert [line.split()[0] for line in lines if re.match("  [a-z]", line)] == ["jupyterlab", "notebook", "pip"]
    assert any(re.fullmatch(r"    tornado [0-9.]+", line) for line in lines)
    assert "apt" not in lines
    assert "apt" in site.run("tree", "jupyter", "--depth", "0", "--inherited").out.splitlines()
    rows = json.loads(site.run("tree", "jupyter", "--json").out)
    assert {"kind": "pip", "name": "notebook", "depth": 0} in [
        {key: row[key] for key in ("kind", "name", "depth")} for row in rows
    ]
