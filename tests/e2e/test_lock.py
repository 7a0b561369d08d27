"""lock, explain, status and verify on a small family."""

from __future__ import annotations

import json
from pathlib import Path

from builder.platforms import NATIVE
from tests.e2e.project import Site

TOOL = f"tool:cpu@{NATIVE}"
LOCK = f"locks/tool/{NATIVE.replace('/', '-')}.pip.txt"


def test_check_names_what_a_lock_does_not_answer(small: Site, tmp_path: Path) -> None:
    site = small.copy(tmp_path / "project")
    assert site.try_("lock", "--check").code == 0
    site.edit("packaging==24.2", "packaging==24.1")
    said = site.try_("lock", "--check")
    assert said.code == 1
    for words in ("packaging==24.1", "packaging==24.2", f"{LOCK}:", "next: stackbuild lock"):
        assert words in said.err


def test_a_lock_edited_by_hand_is_refused(small: Site, tmp_path: Path) -> None:
    site = small.copy(tmp_path / "project")
    path = site.folder / LOCK
    path.write_text(path.read_text().replace("--hash=sha256:", "--hash=sha256:0", 1))
    said = site.try_("build")
    assert said.code == 1
    assert path.name in said.err


def test_a_bump_moves_one_pin_and_one_layer(small: Site, tmp_path: Path) -> None:
    site = small.copy(tmp_path / "project")
    site.edit("packaging==24.2", "packaging==24.1")
    (moved,) = json.loads(site.run("lock", "--json").out)
    assert (moved["path"], moved["moved"]) == (LOCK, [{"name": "packaging", "old": "24.2", "new": "24.1"}])
    assert json.loads(site.run("lock", "--json").out) == []
    layer, image = json.loads(site.run("explain", "tool", "--json").out)[TOOL]
    assert layer["because"] == ["pip packaging 24.2 → 24.1"]
    assert f"{layer['action']} is rebuilt" in image["because"]
    (state,) = [one for one in json.loads(site.run("status", "--json").out) if one["target"] == TOOL]
    assert (state["locked"], state["built"]) == ("yes", "stale")
    assert site.run("build").performed == [layer["action"], image["action"]]
    assert json.loads(site.run("explain", "tool", "--json").out) == {TOOL: []}


def test_a_failed_lock_changes_nothing(small: Site, tmp_path: Path) -> None:
    site = small.copy(tmp_path / "project")
    before = {path: path.read_bytes() for path in (site.folder / "locks").rglob("*.*")}
    site.edit("packaging==24.2", "packaging==1999.1")
    said = site.try_("lock")
    assert said.code == 1
    assert "packaging==1999.1" in said.err
    assert {path: path.read_bytes() for path in (site.folder / "locks").rglob("*.*")} == before


def test_status_of_what_is_built(small: Site) -> None:
    states = {one["target"]: one for one in json.loads(small.run("status", "--json").out)}
    assert (states[TOOL]["locked"], states[TOOL]["built"]) == ("yes", "yes")
    assert states[TOOL]["size"] == sum(layer["size"] for layer in small.result("tool")["layers"])


def test_both_builds_are_identical(small: Site) -> None:
    rows = json.loads(small.run("verify", "tool", "--json").out)
    assert [(row["target"], row["differences"]) for row in rows] == [(TOOL, [])]
    assert rows[0]["layers"] == len(small.result("tool")["layers"])


def test_a_lock_that_answers_is_kept_without_its_archive(small: Site, tmp_path: Path) -> None:
    """Debian's archive is not even asked; told to move everything, it is missed."""
    site = small.clone(tmp_path)
    dead = "http://127.0.0.1:9/debian"
    nowhere = {"STACKBUILD_MIRROR_BOOKWORM": dead, "http_proxy": dead, "https_proxy": dead, "no_proxy": ""}
    path = next(site.folder.glob("locks/base/*.apt.lock"))
    before = path.read_bytes()
    said = site.run("lock", "base", env=nowhere)
    assert "nothing moved" in said.out + said.err
    assert path.read_bytes() == before
    refused = site.try_("lock", "--upgrade", "base", env=nowhere)
    assert refused.code == 1
    assert "archive" in refused.err
    assert path.read_bytes() == before
