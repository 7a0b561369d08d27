"""init: a user's own project that can be read at once, and nothing of theirs overwritten."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from builder.errors import StackbuildError
from builder.manifest import schema
from builder.manifest.read import read
from builder.workflow.init import OVERLAYS, init

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def templates(tmp_path: Path) -> Path:
    """Small overlays: a program, a plain file, a hidden one and a link."""
    folder = tmp_path / "templates"
    for overlay in OVERLAYS:
        place = folder / "overlays" / overlay / "etc"
        place.mkdir(parents=True)
        (place / "run").write_text(f"#!/bin/sh\n# {overlay}\n")
        (place / "run").chmod(0o775)
        (place / ".hidden").write_bytes(b"\x00\xff")
        (place / "link").symlink_to("../nowhere")
    return folder


def test_a_new_project(tmp_path: Path, templates: Path) -> None:
    folder = tmp_path / "a" / "project"
    started = init(folder, templates=templates)
    assert started.kept == ()
    assert started.written == tuple(
        sorted([".gitignore", "stacks.schema.json", "stacks.toml"]
               + [f"overlays/{one}/etc/{name}" for one in OVERLAYS for name in ("run", ".hidden", "link")])
    )  # fmt: skip
    found = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_symlink() or path.is_file())
    assert tuple(found) == started.written
    run, hidden = folder / "overlays/s6/etc/run", folder / "overlays/s6/etc/.hidden"
    assert (run.read_text(), run.stat().st_mode & 0o777) == ("#!/bin/sh\n# s6\n", 0o755)
    assert (hidden.read_bytes(), hidden.stat().st_mode & 0o777) == (b"\x00\xff", 0o644)
    assert os.readlink(folder / "overlays/s6/etc/link") == "../nowhere"
    assert (folder / "stacks.schema.json").read_text() == schema.text()


def test_its_manifest(tmp_path: Path, templates: Path) -> None:
    init(tmp_path / "p", templates=templates)
    manifest = read(tmp_path / "p/stacks.toml")
    assert list(manifest.images) == ["base", "jupyter"]
    assert manifest.archives["bookworm"].suites == ("bookworm", "bookworm-security")
    first = (tmp_path / "p/stacks.toml").read_text().splitlines()[0]
    assert (tmp_path / "p" / first.removeprefix("#:schema ")).is_file()
    asked = [one for image in manifest.images.values() for one in image.asks["overlays"]]  # type: ignore[union-attr]
    assert {one["name"] if isinstance(one, dict) else one for one in asked} == set(OVERLAYS)


def test_its_pins_are_this_projects(tmp_path: Path, templates: Path) -> None:
    """Two manifests name the same versions; a bump must move both."""
    init(tmp_path / "p", templates=templates)
    ours, theirs = read(ROOT / "stacks.toml"), read(tmp_path / "p/stacks.toml")
    # Ours has constraints besides, for children that `init` does not write.
    asks = ours.images["jupyter"].asks
    assert theirs.images["jupyter"].asks == {key: asks[key] for key in asks if key != "constraints"}
    assert theirs.layouts == {"kubeflow": ours.layouts["kubeflow"]}


def test_nothing_is_overwritten(tmp_path: Path, templates: Path) -> None:
    folder = tmp_path / "p"
    (folder / "overlays/s6/etc").mkdir(parents=True)
    mine = {"stacks.toml": "mine", ".gitignore": "", "overlays/s6/etc/run": "mine too"}
    for name, text in mine.items():
        (folder / name).write_text(text)
    (folder / "stacks.schema.json").symlink_to("dangling")
    started = init(folder, templates=templates)
    assert started.kept == tuple(sorted([*mine, "stacks.schema.json"]))
    assert {name: (folder / name).read_text() for name in mine} == mine
    assert os.readlink(folder / "stacks.schema.json") == "dangling"
    again = init(folder, templates=templates)
    assert again.written == ()
    assert set(again.kept) == {*started.written, *started.kept}


def test_something_in_the_way(tmp_path: Path, templates: Path) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p/overlays").write_text("a file")
    with pytest.raises(StackbuildError, match="cannot write"):
        init(tmp_path / "p", templates=templates)
    assert not list((tmp_path / "p").glob("**/.init-*"))


def test_missing_templates(tmp_path: Path) -> None:
    with pytest.raises(StackbuildError, match="no template for the overlay base"):
        init(tmp_path / "p", templates=tmp_path)
    assert not (tmp_path / "p").exists()


def test_this_projects_overlays_are_templates(tmp_path: Path) -> None:
    started = init(tmp_path / "p", templates=ROOT)
    assert "overlays/s6/init" in started.written
    assert (tmp_path / "p/overlays/s6/init").stat().st_mode & 0o111
