"""Machines that each have some platforms of an image: they find each other's in the registry, or nothing is joined."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.digest import Json
from builder.net import Client
from builder.store import Store
from builder.transports import referrers
from builder.transports.referrers import Artifact
from builder.transports.registry import Registry
from builder.transports.upload import Upload
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
    monkeypatch.setattr("builder.requester.time.sleep", lambda _: None)
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
    before = registry.manifests["notebooks/lab", "2026.11"]
    (found,), _ = other.push("lab")
    assert list(found.platforms) == ["linux/arm64"]
    assert registry.manifests["notebooks/lab", "2026.11"] == before, "which names the platform that is missing now"
    assert [tag for tag in found.tags if tag == "2026.11"] == []
    (found,), _ = other.push("lab", partial=True)
    assert "2026.11" in found.tags
    assert registry.manifests["notebooks/lab", "2026.11"] == registry.manifests["notebooks/lab", found.digest]


def test_a_tag_keeps_its_platforms_until_all_are_pushed_anew(
    machines: tuple[Site, Site], registry: FakeUploads
) -> None:
    """The first machine with a new revision took the other platform from everybody who pulled the tag."""
    for site in machines:
        site.push("lab")
    before = registry.manifests["notebooks/lab", "2026.11"]
    for number, (site, target) in enumerate(zip(machines, (AMD, ARM), strict=True)):
        site.overlay("lab", "newer")
        site.build(target)
        site.push("lab")
        assert (registry.manifests["notebooks/lab", "2026.11"] == before) == (number == 0)
    assert platforms(registry, "2026.11") == ["amd64", "arm64"]


def test_a_push_that_was_cut_before_the_list_was_written_goes_on(
    machines: tuple[Site, Site], registry: FakeUploads
) -> None:
    """The artifact was there, so the next push thought that all was done, and nobody ever found the key."""
    one, other = machines

    def cut(request: Request) -> bool:
        request.body()
        request.reply(403)
        return True

    registry.breaks("PUT", "/manifests/sha256-", cut)
    said: list[str] = []
    one.push("lab", told=said.append)
    assert any("its key is not attached" in line for line in said) == (not registry.referrers), "that lists by itself"
    one.push("lab")
    (found,), _ = other.push("lab")
    assert sorted(found.platforms) == ["linux/amd64", "linux/arm64"]


def test_of_two_that_attach_at_once_none_is_lost_for_good(machines: tuple[Site, Site], registry: FakeUploads) -> None:
    """A registry without a list of its own: what somebody else wrote between our look and our write is written over."""
    one, _ = machines
    (pushed_,), _ = one.push("lab")
    environ = {"HOME": "/nonexistent"}
    upload = Upload(Registry(Client(environ=environ), registry.host, "notebooks/lab", environ))
    subject: dict[str, Json] = {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": pushed_.digest,
        "size": 1,
    }

    def meanwhile(request: Request) -> bool:
        referrers.attach(upload, subject, Artifact(type="application/x", said={"who": "other"}))
        return False

    registry.breaks("PUT", f"/manifests/{pushed_.digest.replace(':', '-')}", meanwhile)
    referrers.attach(upload, subject, Artifact(type="application/x", said={"who": "one"}))
    referrers.attach(upload, subject, Artifact(type="application/x", said={"who": "other"}))
    found = [said["who"] for said in referrers.attached(upload.registry, pushed_.digest, "application/x")]
    assert sorted(found) == ["one", "other"]
    assert len(list(referrers.attached(upload.registry, pushed_.digest, pushed.TYPE))) == 1


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


def test_a_registry_that_takes_no_artifacts_has_the_image_all_the_same(
    machines: tuple[Site, Site], registry: FakeUploads
) -> None:
    """Its refusal came before the tags, so nothing could be pushed there at all."""
    one, _ = machines

    def refuse(request: Request) -> bool:
        if b"artifactType" not in request.rfile.peek(1 << 16):  # type: ignore[attr-defined]
            return False
        request.body()
        request.reply(400)
        return True

    registry.breaks("PUT", "/manifests/sha256:", refuse, times=9)
    said: list[str] = []
    (found,), _ = one.push("lab", told=said.append)
    assert "2026.11" in found.tags
    assert [line.partition(":")[0] for line in said if "its key is not attached" in line] == ["lab"]


@pytest.mark.parametrize("status", [400, 403, 405])
def test_a_registry_that_has_other_words_for_no_such_api(
    machines: tuple[Site, Site], registry: FakeUploads, status: int
) -> None:
    registry.referrers = False

    def refuse(request: Request) -> bool:
        request.reply(status)
        return True

    registry.breaks("GET", "/referrers/", refuse, times=99)
    for site in machines:
        site.push("lab")
    assert platforms(registry, "2026.11") == ["amd64", "arm64"]
