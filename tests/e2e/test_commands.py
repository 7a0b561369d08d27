"""build: what it says, what it leaves alone, what it compares with."""

from __future__ import annotations

import json
from pathlib import Path

from builder.platforms import NATIVE
from tests.e2e.conftest import git
from tests.e2e.project import Site, tags
from tests.tools import need


def test_nothing_to_do(small: Site) -> None:
    said = small.run("build", "--changed")
    assert said.performed == []
    assert f"unchanged: tool:cpu@{NATIVE}" in said.out


def test_a_dry_run_only_says(small: Site, tmp_path: Path) -> None:
    site = small.clone(tmp_path)
    overlay = site.folder / "overlays/tool/usr/local/bin/tool"
    overlay.write_text("#!/bin/sh\necho other\n")
    before = tags(site.store_path)
    said = site.run("build", "--dry-run")
    assert said.out.splitlines() == [f"overlays of tool:cpu@{NATIVE}", f"image tool:cpu@{NATIVE}"]
    assert tags(site.store_path) == before
    rows = json.loads(site.run("build", "--dry-run", "--json").out)
    assert [row["name"] for row in rows] == said.out.splitlines()


def test_json(small: Site) -> None:
    told = json.loads(small.run("build", "--json").out)
    assert told == {"built": [], "unchanged": [f"base:cpu@{NATIVE}", f"tool:cpu@{NATIVE}"], "skipped": []}


def test_a_comment_rebuilds_nothing(small: Site, tmp_path: Path) -> None:
    site = small.clone(tmp_path)
    path = site.folder / "stacks.toml"
    path.write_text("# A comment.\n" + path.read_text().replace('apt = ["python3"]', 'apt = [\n  "python3", # why\n]'))
    assert site.run("lock", "--check").code == 0
    said = site.run("build")
    assert said.performed == []
    assert said.out.splitlines() == [f"unchanged: base:cpu@{NATIVE}", f"unchanged: tool:cpu@{NATIVE}"]


def test_an_overlay_that_comes_back_is_not_built_again(small: Site, tmp_path: Path) -> None:
    site = small.clone(tmp_path)
    overlay = site.folder / "overlays/tool/usr/local/bin/tool"
    text = overlay.read_text()
    overlay.write_text(text + "# changed\n")
    first = site.run("build")
    assert first.performed == [f"overlays of tool:cpu@{NATIVE}", f"image tool:cpu@{NATIVE}"]
    overlay.write_text(text)
    assert site.run("build").performed == []
    assert tags(site.store_path)["tool"] == small.result("tool")["manifest"]["digest"]


def test_since_a_revision(small: Site, tmp_path: Path) -> None:
    """Only targets whose plan differs are built; a commit of comments is no difference."""
    need("git")
    site = small.clone(tmp_path)
    git(site.folder, "init", "--quiet")
    git(site.folder, "add", "--all")
    git(site.folder, "commit", "--quiet", "--message", "one")
    site.edit("[project]", "# A comment.\n[project]")
    git(site.folder, "commit", "--quiet", "--all", "--message", "two")
    assert json.loads(site.run("build", "--since", "HEAD~1", "--json").out)["unchanged"] == []
    (site.folder / "overlays/tool/usr/local/bin/tool").write_text("#!/bin/sh\necho since\n")
    git(site.folder, "commit", "--quiet", "--all", "--message", "three")
    said = json.loads(site.run("build", "--since", "HEAD~1", "--json").out)
    assert said["built"] == [f"tool:cpu@{NATIVE}"]
    wrong = site.try_("build", "--since", "no-such-revision")
    assert wrong.code == 1
    assert "no-such-revision" in wrong.err


def test_it_runs(small: Site) -> None:
    assert small.inside("tool", "/usr/local/bin/tool") == (0, "24.2\n")
