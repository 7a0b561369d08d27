"""Who asks for what moved, what else changed, and which advisories that fixes: the catalogue with a bump in git."""

from __future__ import annotations

import json
import subprocess
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from builder.advice import Advice
from builder.advisories.database import open_databases
from builder.difference import Asked, Cause, Report
from builder.manifest.model import Target
from builder.net import Client
from builder.workflow import why
from builder.workflow.advice import Question
from builder.workflow.diff import diff
from tests.e2e.project import ROOT, Site
from tests.osv import affected, entry, folder

ALL = {"introduced": "0"}
HIGH = [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N"}]
ENTRIES = [
    entry("FIXED-1", affected("PyPI", "babel", ALL, {"fixed": "2.98"}), aliases=["CVE-2026-1"], severity=HIGH),
    entry("NEW-2", affected("PyPI", "babel", {"introduced": "2.99"})),
    entry("STAYS-3", affected("PyPI", "babel", ALL)),
    entry("AWAY-4", affected("PyPI", "send2trash", ALL)),
    entry("SAME-5", affected("Debian:12", "curl", ALL)),
    entry("OTHERS-6", affected("PyPI", "nobody-has-it", ALL)),
]
TODAY = date(2026, 11, 22)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The catalogue; in its working tree babel has moved in `jupyter`, Send2Trash is gone from it, a file is new."""
    place = tmp_path_factory.mktemp("reasons")
    found = Site(ROOT, place / "store").copy(place / "project", store=place / "store")
    for words in (
        ("init", "-q"),
        ("add", "."),
        ("-c", "user.name=x", "-c", "user.email=x@example.org", "commit", "-qm", "x"),
    ):
        subprocess.run(["git", *words], cwd=found.folder, check=True)
    for path in (found.folder / "locks/jupyter").glob("*.pip.txt"):
        parts = path.read_text().split("\n\n")
        (babel,) = (part for part in parts if part.startswith("# babel\n"))
        version = babel.partition("==")[2].split()[0]
        parts = [part.replace(version, "2.99.0") if part == babel else part for part in parts]
        path.write_text("\n\n".join(part for part in parts if not part.startswith("# send2trash\n")))
    overlay = found.folder / "overlays/gp-lab/etc"
    overlay.mkdir(exist_ok=True)
    (overlay / "new").write_text("x")
    return found


@pytest.fixture(scope="module")
def report(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Report:
    project = site.project()
    place = folder(tmp_path_factory.mktemp("osv"), ENTRIES)
    databases = open_databases([str(place)], project.store, Client(environ={}))
    return diff(project, question=Question(databases=databases, today=TODAY))


def advice(report: Report) -> Advice:
    assert report.advice is not None
    return report.advice


def test_who_asks_for_what_moved(report: Report) -> None:
    by_name = {one.name: one for one in report.differences}
    lab = by_name["jupyter:cpu@linux/amd64"]
    changes = {change.package.name: (change.how, change.asked) for change in lab.packages or ()}
    how, asked = changes["babel"]
    assert how == "moved" and asked is not None and asked.by == "image jupyter"
    assert asked.via == ("jupyterlab", "jupyterlab-server") and asked.where.startswith("stacks.toml:")
    how, asked = changes["send2trash"]
    assert how == "removed" and asked is not None and asked.via[-1] == "jupyter-server"
    child = by_name["jupyter-scipy:cpu@linux/amd64"]
    assert child.packages == lab.packages, "a child tells the same, so that it is told once"


def test_what_else_changed(report: Report) -> None:
    by_name = {one.name: one for one in report.differences}
    found = by_name["gp-lab:cpu@linux/amd64"]
    assert found.packages == () and found.causes == (Cause(image="gp-lab", text="overlay file etc/new is new"),)
    assert by_name["jupyter:cpu@linux/amd64"].causes == ()


def test_what_an_image_asks_for_is_direct_and_what_it_uses_is_its_sets(site: Site) -> None:
    project = site.project()
    found = why.asked(project, Target("jupyter-scipy", "cpu", "linux/amd64"))
    assert found["pip", "jupyterlab"].by == "image jupyter" and not found["pip", "jupyterlab"].via
    assert found["pip", "scipy"].by == "set science" and not found["pip", "scipy"].via
    assert found["apt", "ffmpeg"].by == "image jupyter-scipy"
    assert Asked(by="every root", where="") in found.values()
    lines = (site.folder / "stacks.toml").read_text().splitlines()
    assert "scipy==" in lines[int(found["pip", "scipy"].where.partition(":")[2]) - 1]
    told = why.shortest(project, Target("jupyter-scipy", "cpu", "linux/amd64"), [("pip", "babel")])
    assert told["pip", "babel"].startswith("babel ← jupyterlab-server ← jupyterlab ← stacks.toml:")


def test_advisories_of_both_sides(report: Report) -> None:
    found = advice(report)
    told = {one.id: (one.became, one.image, one.severity) for one in found.rows if one.image == "jupyter"}
    assert told == {
        "NEW-2": ("new", "jupyter", "unknown"),
        "FIXED-1": ("fixed", "jupyter", "high 7.5"),
        "AWAY-4": ("fixed", "jupyter", "unknown"),
        "STAYS-3": ("open", "jupyter", "unknown"),
    }
    (fixed,) = (one for one in found.of("fixed") if one.id == "FIXED-1")
    assert (fixed.b, fixed.aliases, fixed.packages, fixed.url) == (
        "2.99.0",
        ("CVE-2026-1",),
        ("babel",),
        "https://osv.dev/FIXED-1",
    )
    assert fixed.a < fixed.b and "jupyter-scipy:cpu@linux/arm64" in fixed.targets
    (away,) = (one for one in found.of("fixed") if one.id == "AWAY-4")
    assert away.a and away.b == ""
    assert {one.image for one in found.of("open") if one.id == "FIXED-1"} >= {"gp-lab"}, "its own babel did not move"
    assert {one.became for one in found.rows if one.id == "SAME-5"} == {"open"}, "of what did not change too"
    assert "OTHERS-6" not in {one.id for one in found.rows} and found.unknown == ()


def test_the_command(site: Site, tmp_path: Path) -> None:
    place = folder(tmp_path / "osv", ENTRIES[:3])
    accepted = (site.folder / "stacks.toml").read_text()
    try:
        with (site.folder / "stacks.toml").open("a") as stream:
            stream.write('\n[[audit.accept]]\nid = "STAYS-3"\nreason = "so be it"\nuntil = 2100-01-01\n')
        text = site.run("diff", "HEAD:jupyter", "jupyter", "--advisories", str(place)).out
        assert "advisories: fixes 1 advisory (1 high), brings in 1, 1 accepted\n" in text
        assert "so be it (until 2100-01-01, stacks.toml:" in text
        assert "babel" in text and "(via jupyterlab → jupyterlab-server)" in text
        quiet = site.run("diff", "HEAD:jupyter", "jupyter", env={"STACKBUILD_ADVISORIES": ""}).out
        assert "advisories" not in quiet
        known = {"STACKBUILD_ADVISORIES": f"{place} https://nowhere.invalid", "STACKBUILD_OFFLINE": "1"}
        told: dict[str, Any] = json.loads(site.run("diff", "HEAD:jupyter", "jupyter", "--json", env=known).out)
        told = told["advisories"]
        assert [one["id"] for one in told["fixed"]] == ["FIXED-1"] and told["open"] == []
    finally:
        (site.folder / "stacks.toml").write_text(accepted)
