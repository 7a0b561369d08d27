"""Machines that each have some platforms of an image: they find each other's in the registry, or nothing is joined."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.store import Store
from builder.workflow import build, pushed
from tests.fake_uploads import FakeUploads, Request, uploads
from tests.image_family import Site

ARM, AMD = "lab@linux/arm64", "lab@linux/amd64"


@pytest.fixture(params=[False, True], ids=["tag schema", "referrers API"])
def registry(request: pytest.FixtureRequest) -> Iterator[FakeUploads]:
    with uploads() as found:
        found.referrers = request.param
        yield found


@pytest.fixture
def machines(tmp_path: Path, registry: FakeUploads, monkeypatch: pytest.MonkeyPatch) -> tuple[Site, Site]:
    """Two checkouts of one revision, each with a store of its own."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("builder.net.time.sleep", lambda _: None)
    one = Site(tmp_path / "one", registry.host)
    one.build(AMD)
    other = object.__new__(Site)
    shutil.copytree(one.folder, tmp_path / "other/project")
    other.folder, other.store = tmp_path / "other/project", Store.open(tmp_path / "other/store")
    shutil.copytree(tmp_path / "one/layout", tmp_path / "other/layout")
    other.build(ARM)
    return one, other


def platforms(registry: FakeUploads, tag: str) -> list[str]:
    document = json.loads(registry.manifests["notebooks/lab", tag])
    return [row["platform"]["architecture"] for row in document.get("manifests", ())]


def test_whoever_comes_second_makes_the_index(machines: tuple[Site, Site], registry: FakeUploads) -> None:
    one, other = machines
    (first,), _ = one.push("lab")
    assert platforms(registry, "2026.11") == [], "a manifest, no index"
    assert list(first.platforms) == ["linux/amd64"]
    (second,), _ = other.push("lab")
    assert platforms(registry, "2026.11") == ["amd64", "arm64"]
    assert second.platforms["linux/amd64"] == first.digest
    (third,), _ = one.push("lab")
    assert third.digest == second.digest, "the same index, whoever makes it"
    assert platforms(registry, third.tags[1]) == ["amd64", "arm64"]


def test_another_revision_is_not_joined(machines: tuple[Site, Site], registry: FakeUploads) -> None:
    one, other = machines
    one.push("lab")
    other.overlay("lab", "newer")
    other.build(ARM)
    (found,), _ = other.push("lab")
    assert list(found.platforms) == ["linux/arm64"]
    assert platforms(registry, "2026.11") == []


def test_what_comes_while_one_looks_is_seen(machines: tuple[Site, Site], registry: FakeUploads) -> None:
    """The other machine pushes all it has between our look and our tag, which would stay over its index."""
    one, other = machines

    def meanwhile(request: Request) -> bool:
        if request.route.endswith("/2026.11"):
            other.push("lab")
        return False

    registry.breaks("PUT", "/notebooks/lab/manifests/2026.11", meanwhile, times=2)  # First comes 2026.11-linux-amd64.
    (found,), _ = one.push("lab")
    assert sorted(found.platforms) == ["linux/amd64", "linux/arm64"]
    assert platforms(registry, "2026.11") == ["amd64", "arm64"]


def test_a_stateless_machine_knows_what_to_build(machines: tuple[Site, Site], registry: FakeUploads) -> None:
    one, other = machines
    one.push("lab")
    project = other.project()
    targets = [target for target in project.manifest.targets() if target.image in {"lab", "full"}]

    def changed() -> list[str]:
        again = other.project()
        return [str(one) for one in pushed.changed(again, build.plan(again, targets), targets, tag="2026.11")]

    assert changed() == ["lab:cpu@linux/arm64", "full:cpu@linux/amd64", "full:cpu@linux/arm64"]
    other.push("lab")
    assert changed() == ["full:cpu@linux/amd64", "full:cpu@linux/arm64"]
    other.overlay("lab", "newer")
    assert len(changed()) == 4


def test_equal_bytes_under_another_plan_are_known_by_both_keys(
    machines: tuple[Site, Site], registry: FakeUploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = machines
    one.push("lab")
    before = json.loads(registry.manifests["notebooks/lab", "2026.11"])
    monkeypatch.setattr("builder.action.SCHEMA", 99)
    project = one.project()
    targets = [target for target in project.manifest.targets() if target.matches(AMD)]

    def changed() -> int:
        return len(pushed.changed(project, build.plan(project, targets), targets, tag="2026.11"))

    assert changed() == 1
    one.build(AMD)
    one.push("lab")
    assert json.loads(registry.manifests["notebooks/lab", "2026.11"]) == before
    assert changed() == 0
    monkeypatch.undo()
    assert changed() == 0


def test_a_list_that_is_none(machines: tuple[Site, Site], registry: FakeUploads) -> None:
    one, _ = machines
    one.push("lab")

    def nonsense(request: Request) -> bool:
        request.reply(200, {"Content-Type": "application/vnd.oci.image.index.v1+json"}, b'{"manifests": [1]}')
        return True

    registry.breaks("GET", "/manifests/sha256-", nonsense)
    registry.breaks("GET", "/referrers/", nonsense)
    project = one.project()
    targets = [target for target in project.manifest.targets() if target.matches(AMD)]
    with pytest.raises(Exception, match="not a list of what is attached"):
        pushed.changed(project, build.plan(project, targets), targets, tag="2026.11")
