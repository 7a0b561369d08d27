"""What a built image weighs, asked of a store; and the command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from builder.cli import cli
from builder.errors import StackbuildError
from builder.manifest.model import Target
from builder.platforms import NATIVE
from builder.store import Store
from builder.weight import Weighed
from builder.workflow import build
from builder.workflow.size import size
from tests.image_family import Site

FULL = Target("full", "cpu", NATIVE)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    found = Site(tmp_path_factory.mktemp("site"), "registry.example.com")
    found.build()
    return found


def of(site: Site) -> Weighed:
    return size(site.project(), FULL)


def test_layers_of_a_family(site: Site) -> None:
    found = of(site)
    assert [(one.name, one.image) for one in found.layers] == [
        ("oci/001", "root"),
        ("overlays", "lab"),
        ("overlays", "full"),
    ]
    assert [(one.image, one.name, one.size) for one in found.packages] == [
        ("full", "overlays", 4),
        ("lab", "overlays", 3),
    ]


def test_a_base_that_nothing_has_read(site: Site) -> None:
    """Its files are not known, and that is said; once something has read them, they count."""
    assert of(site).contents == (None, 3, 4)
    project = site.project()
    build.complete(project, build.plan(project, [FULL]), FULL)
    found = of(site)
    assert found.contents == (len(NATIVE), 3, 4)
    assert found.layers[0].raw and ("root", "oci/001") in {(one.image, one.name) for one in found.packages}


def test_images_are_known_when_only_they_are_in_the_store(site: Site) -> None:
    """As after a cache has brought them: the steps that they are made of are not there."""
    images = [one.image for one in of(site).layers]
    project = site.project()
    planned = build.plan(project, [FULL])
    moved = []
    for one in planned.values():
        for action in one.actions:
            path = site.store.path / "actions" / f"{action.plan_key.hex}.json"
            moved.append(path.rename(path.with_suffix(".away")))
    try:
        assert [one.image for one in of(site).layers] == images
        lab = planned[Target("lab", "cpu", NATIVE)].image
        assert lab is not None
        path = site.store.path / "actions" / f"{lab.plan_key.hex}.json"
        moved.append(path.rename(path.with_suffix(".away")))
        assert [one.image for one in of(site).layers] == ["root", "", ""]
    finally:
        for path in moved:
            path.rename(path.with_suffix(".json"))


def test_what_is_not_built(site: Site, tmp_path: Path) -> None:
    project = site.project()
    empty = type(project)(manifest=project.manifest, locks=project.locks, store=Store.open(tmp_path / "empty"))
    with pytest.raises(StackbuildError, match="not built: full") as caught:
        size(empty, FULL)
    assert caught.value.next_step == "stackbuild build full"


def run(site: Site, *words: str) -> Result:
    return CliRunner().invoke(
        cli, ["-C", str(site.folder), "size", *words], env={"STACKBUILD_STORE": str(site.store.path)}
    )


def test_the_command(site: Site, tmp_path: Path) -> None:
    assert run(site, "full").output.startswith(f"{FULL}: ")
    assert json.loads(run(site, "full", "--format", "json").output)["target"] == str(FULL)
    page = tmp_path / "size.html"
    done = run(site, "full", "--format", "html", "--output", str(page))
    assert (done.exit_code, done.output) == (0, "")
    assert page.read_text() == run(site, "full", "--format", "html").output
    assert "no such format: pdf" in str(run(site, "full", "--format", "pdf").exception)
    assert "no such target: fool" in str(run(site, "fool").exception)
