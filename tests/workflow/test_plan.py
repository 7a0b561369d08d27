"""`stackbuild plan`: what a change touches, from git and the locks alone."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.e2e.project import ROOT, Site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("plan")
    found = Site(ROOT, folder / "store").copy(folder / "project", store=folder / "store")
    git(found, "init", "--quiet")
    git(found, "add", ".")
    git(found, "-c", "user.name=x", "-c", "user.email=x@example.org", "commit", "--quiet", "--message", "x")
    return found


def git(site: Site, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=site.folder, check=True)


def test_all_targets_without_a_revision(site: Site) -> None:
    rows = json.loads(site.run("plan", "--json").out)
    targets = [one for row in rows for one in row["targets"].split()]
    assert len(targets) == len(set(targets)) > 60
    assert all(row["minutes"] > 2 and row["disk"] > 0 for row in rows)


def test_what_a_change_touches(site: Site) -> None:
    assert json.loads(site.run("plan", "--since", "HEAD", "--github-matrix").out) == {"include": []}
    path = site.folder / "overlays/gp-lab"
    (path / "etc").mkdir(exist_ok=True)
    (path / "etc/new").write_text("x")
    (row,) = json.loads(site.run("plan", "--since", "HEAD", "--github-matrix", "@linux/arm64").out)["include"]
    assert row["targets"] == row["name"] == "gp-lab:cpu@linux/arm64"
    assert row["runs-on"] == "ubuntu-24.04-arm"
    (path / "etc/new").unlink()


def test_a_revision_that_is_not_there(site: Site) -> None:
    """It told which of git's commands had failed."""
    said = site.try_("plan", "--since", "nowhere")
    assert said.code == 1 and said.err.startswith("error: no such revision: nowhere\n")


def test_a_pip_bump_reaches_the_children(site: Site) -> None:
    path = next((site.folder / "locks/jupyter").glob("linux-amd64.pip.txt"))
    before = path.read_text()
    lines = before.splitlines()
    at = next(n for n, line in enumerate(lines) if line.strip().startswith("--hash=sha256:"))
    lines[at] = "    --hash=sha256:" + "0" * 64
    path.write_text("\n".join(lines) + "\n")
    (row,) = json.loads(site.run("plan", "--since", "HEAD", "--json").out)
    names = {one.partition(":")[0] for one in row["targets"].split()}
    assert {"jupyter", "jupyter-scipy"} <= names and not names & {"base", "codeserver", "kernel-py"}
    assert row["name"] == f"{row['targets'].split()[0]} and {len(row['targets'].split()) - 1} more"
    path.write_text(before)
