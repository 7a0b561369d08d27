"""Bills of materials and provenance beside the images of a family on a foreign base, in a registry."""

from __future__ import annotations

import json
from typing import Any

import pytest

from builder.errors import StackbuildError
from builder.manifest.model import Target
from builder.workflow import attach, build
from builder.workflow.attach import Attached, Wanted
from builder.workflow.bill import bill
from tests.fake_uploads import FakeUploads
from tests.image_family import Site

CYCLONEDX, SPDX, IN_TOTO = (f"application/{name}" for name in ("vnd.cyclonedx+json", "spdx+json", "vnd.in-toto+json"))
LAB = Target("lab", "cpu", "linux/amd64")


@pytest.fixture(params=[False, True], ids=["tag schema", "referrers API"])
def lists(request: pytest.FixtureRequest, registry: FakeUploads) -> bool:
    """Whether the registry lists referrers by itself."""
    registry.referrers = bool(request.param)
    return registry.referrers


def attached(site: Site, wanted: Wanted, *targets: Target) -> tuple[Attached, ...]:
    project = site.project()
    named = targets or (LAB,)
    return attach.attach(project, build.plan(project, named), named, wanted)


def manifest(registry: FakeUploads, one: Attached) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(registry.manifests["notebooks/lab", one.digest])
    return found


def test_each_platform_gets_its_own(site: Site, registry: FakeUploads, lists: bool) -> None:
    site.build()
    site.push()
    arm = Target("lab", "cpu", "linux/arm64")
    found = attached(site, Wanted(sboms=("cyclonedx", "spdx", "spdx"), provenance=True), LAB, arm)
    assert [one.type for one in found] == [CYCLONEDX, SPDX, IN_TOTO] * 2
    assert {one.target for one in found} == {LAB, arm} and all(one.new for one in found)
    for one in found:
        said = manifest(registry, one)
        assert said["artifactType"] == one.type
        assert said["subject"]["digest"] == one.subject
        assert said["config"]["mediaType"] == "application/vnd.oci.empty.v1+json"
        (layer,) = said["layers"]
        assert layer["mediaType"] == one.type
        data = registry.blobs["notebooks/lab", layer["digest"]]
        assert len(data) == layer["size"]
        assert one.subject.hex in data.decode(), "it says whose it is"
    if not lists:
        index = json.loads(registry.manifests["notebooks/lab", found[0].subject.replace(":", "-")])
        assert {one["artifactType"] for one in index["manifests"]} > {CYCLONEDX, SPDX, IN_TOTO}


def test_again_sends_nothing(site: Site, registry: FakeUploads, lists: bool) -> None:
    site.build()
    site.push()
    wanted = Wanted(sboms=("cyclonedx",), provenance=True)
    first = attached(site, wanted)
    registry.seen.clear()
    again = attached(site, wanted)
    assert [one.new for one in again] == [False, False]
    assert [one.digest for one in again] == [one.digest for one in first]
    assert not [method for method, _ in registry.seen if method in {"POST", "PUT", "PATCH"}]


def test_what_is_not_pushed_gets_nothing(site: Site, registry: FakeUploads) -> None:
    site.build()
    with pytest.raises(StackbuildError, match="not pushed: lab:cpu@linux/amd64"):
        attached(site, Wanted(provenance=True))
    assert not registry.blobs


def test_nothing_is_wanted(site: Site) -> None:
    site.build()
    with pytest.raises(StackbuildError, match="nothing to attach"):
        attached(site, Wanted())


def test_a_base_of_which_nothing_is_known_is_named_and_the_bill_is_incomplete(site: Site) -> None:
    site.build()
    project = site.project()
    found = bill(project, build.plan(project, [LAB]), LAB)
    refs = {one.ref: one for one in found.components}
    assert list(refs) == ["oci:../layout", "overlay:lab"]
    assert refs["oci:../layout"].digest is not None
    assert any("The contents of oci:../layout:1.0 are not listed" in note for note in found.notes)
    assert found.direct == ("oci:../layout", "overlay:lab")
