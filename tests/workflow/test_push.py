"""A family goes to a registry: each layer once, tags at last, nothing half, and words for what cannot be."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from builder.digest import Digest
from builder.errors import StackbuildError
from builder.manifest.model import Target
from builder.workflow import build, releases, save, shipment
from builder.workflow.cargo import Traffic
from builder.workflow.tags import Tags
from tests.fake_uploads import FakeUploads, Request
from tests.image_family import Site


def whole(registry: FakeUploads) -> None:
    """Everything that a tag names is there: manifests of an index, configs and layers of a manifest."""
    for (repository, name), body in registry.manifests.items():
        document = json.loads(body)
        for one in document.get("manifests", ()):
            assert (repository, one["digest"]) in registry.manifests, name
        for one in (*document.get("layers", ()), *([document["config"]] if "config" in document else ())):
            assert (repository, one["digest"]) in registry.blobs, name


def test_each_layer_crosses_the_wire_once(site: Site, registry: FakeUploads) -> None:
    site.build()
    pushed, traffic = site.push()
    whole(registry)
    layers = {digest: data for (_, digest), data in registry.blobs.items() if data != b"{}"}
    assert traffic.sent == sum(len(data) for data in layers.values())
    assert 0 < registry.received - traffic.sent <= 3 * 4, "the empty blob of what is attached, for each platform"
    assert [one.name.rpartition("/")[2] for one in pushed] == ["root", "lab", "full"]
    for one in pushed:
        repository = one.name.partition("/")[2]
        assert one.tags == ("2026.11", one.digest.hex[:12])
        index = json.loads(registry.manifests[repository, "2026.11"])
        assert [row["platform"]["architecture"] for row in index["manifests"]] == ["amd64", "arm64"]
        assert [row["digest"] for row in index["manifests"]] == list(one.platforms.values())


def test_again_asks_and_sends_nothing(site: Site, registry: FakeUploads) -> None:
    site.build()
    first, _ = site.push()
    registry.seen.clear()
    again, traffic = site.push()
    assert [(one.digest, one.tags) for one in again] == [(one.digest, one.tags) for one in first]
    assert releases.recorded(site.project()) == first, "it is no second release"
    assert traffic == Traffic()
    assert {method for method, _ in registry.seen} == {"HEAD", "GET"}
    assert not [path for method, path in registry.seen if method == "GET" and "/blobs/" in path]


def test_a_second_image_mounts_what_another_push_left(site: Site, registry: FakeUploads) -> None:
    site.build()
    site.push("lab")
    before = registry.received
    _, traffic = site.push("full")
    whole(registry)
    assert traffic.mounted == 3, "the layers of two bases, and the one of lab, which is the same on both"
    assert (
        registry.received - before - traffic.sent <= 4 and traffic.sent < 2000
    )  # Configs, and one layer with one file.


def test_tags_come_last_and_only_if_all_is_there(site: Site, registry: FakeUploads) -> None:
    """A registry that refuses one layer of one image: no tag moves, of no image."""

    def refuse(request: Request) -> bool:
        request.body()
        request.reply(403)
        return True

    site.build()
    registry.breaks("POST", "/v2/notebooks/full/blobs/uploads/", refuse)
    with pytest.raises(StackbuildError, match="refuses"):
        site.push()
    assert all(name.startswith("sha256:") for _, name in registry.manifests)
    whole(registry)
    registry.seen.clear()
    site.push()
    whole(registry)
    puts = [path for method, path in registry.seen if method == "PUT" and "/manifests/" in path]
    tags = [not path.rpartition("/")[2].startswith("sha256") for path in puts]
    assert tags == sorted(tags), "a tag was written before a manifest"


def test_a_change_sends_what_changed(site: Site, registry: FakeUploads) -> None:
    site.build()
    site.push()
    before = registry.received
    site.overlay("full", "another text")
    site.build("full")
    pushed, traffic = site.push("full")
    whole(registry)
    assert traffic.sent == registry.received - before < 2000
    assert registry.manifests["notebooks/full", "2026.11"] == registry.manifests["notebooks/full", pushed[0].digest]


def test_one_platform_is_no_index(site: Site, registry: FakeUploads) -> None:
    site.build("lab@linux/amd64")
    project = site.project()
    targets = [target for target in project.manifest.targets() if target.matches("lab")]
    chosen, left = shipment.ready(project, build.plan(project, targets), targets)
    assert [str(one) for one in left] == ["lab:cpu@linux/arm64"]
    assert [str(one) for one in chosen] == ["lab:cpu@linux/amd64"]
    (pushed,), _ = site.push("lab")
    assert "layers" in json.loads(registry.manifests["notebooks/lab", "2026.11"])
    assert pushed.platforms == {"linux/amd64": pushed.digest}


def test_what_was_not_asked_for_need_not_be_built(site: Site) -> None:
    """A job that built what had changed pushes just that."""
    site.build("lab")
    project = site.project()
    targets = tuple(project.manifest.targets())
    chosen, left = shipment.ready(project, build.plan(project, targets), targets, named=False)
    assert {one.image for one in chosen} == {"lab"}
    assert {one.image for one in left} == {"root", "full"}
    with pytest.raises(StackbuildError, match="not built: root"):
        shipment.ready(project, build.plan(project, targets), targets)


def test_what_is_not_built(site: Site) -> None:
    site.build("root")
    with pytest.raises(StackbuildError) as caught:
        site.push("lab")
    assert caught.value.what == "not built: lab:cpu@linux/amd64"
    assert caught.value.next_step == "stackbuild build lab"


@pytest.mark.parametrize("where", ["{image}", "notebooks/{image}", "host/{image}"])
def test_nowhere_to_push_to(site: Site, where: str) -> None:
    site.build("root")
    with pytest.raises(StackbuildError, match="no registry to push to"):
        site.push("root", repository=where)


def _layer(site: Site, image: str) -> Path:
    project = site.project()
    target = Target(image, "cpu", "linux/amd64")
    found = build.result(project, build.plan(project, (target,)), target)
    return site.store.blob(Digest(found["layers"][-1]["digest"]))


def test_a_flipped_bit_is_not_pushed(site: Site, registry: FakeUploads) -> None:
    site.build()
    path = _layer(site, "full")
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)
    with pytest.raises(StackbuildError, match="a file in the store has changed"):
        site.push()
    assert all(name.startswith("sha256:") for _, name in registry.manifests)


def test_a_blob_that_is_gone(site: Site, registry: FakeUploads) -> None:
    site.build()
    _layer(site, "full").unlink()
    with pytest.raises(StackbuildError, match="is gone from the store") as caught:
        site.push()
    assert caught.value.next_step == "stackbuild build full"
    assert all(name.startswith("sha256:") for _, name in registry.manifests)


def test_two_pushes_at_once(site: Site, registry: FakeUploads, tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    site.build()
    with ThreadPoolExecutor(2) as threads:
        one, other = threads.map(lambda _: site.push()[0], range(2))
    assert [release.digest for release in one] == [release.digest for release in other]
    whole(registry)


def test_another_repository_mounts_what_was_pushed_before(site: Site, registry: FakeUploads) -> None:
    """By another name: what this store pushed is remembered."""
    site.build()
    site.push("full")
    before = registry.received
    _, traffic = site.push("full", repository=f"{registry.host}/elsewhere/{{image}}")
    whole(registry)
    assert traffic.mounted == 6, "two layers of bases, two of overlays, two configs"
    assert traffic.sent == 0
    assert registry.received - before <= 4, "the empty blob of what is attached"


def test_a_repository_that_may_not_be_read_is_no_home(site: Site, registry: FakeUploads) -> None:
    """What was pushed to before, and is closed now: its blobs are uploaded instead of mounted."""

    def closed(request: Request) -> bool:
        request.body()
        request.reply(403)
        return True

    site.build()
    site.push("full")
    registry.breaks("HEAD", "/v2/notebooks/", closed, times=1000)
    _, traffic = site.push("full", repository=f"{registry.host}/elsewhere/{{image}}")
    assert (traffic.mounted, traffic.uploaded) == (0, 6)


def test_variants_need_a_name_each(site: Site, registry: FakeUploads) -> None:
    path = site.folder / "stacks.toml"
    path.write_text(
        path.read_text().replace('overlays = ["lab"]', 'overlays = ["lab"]\nvariants = ["cpu", "cuda"]')
        + "[variants.cuda]\n"
    )
    site.build()
    with pytest.raises(StackbuildError, match="several images, one place"):
        site.push("lab", repository=f"{registry.host}/x/lab")
    assert registry.seen == []


def test_a_wrong_tag_is_told_before_anything_is_sent(site: Site, registry: FakeUploads) -> None:
    site.build()
    with pytest.raises(StackbuildError, match="not a tag"):
        site.push(templates=["a b"])
    assert registry.seen == []


def test_equal_targets_keep_their_names(site: Site) -> None:
    """A variant that differs in nothing has the digest of the plain one, and a name of its own."""
    path = site.folder / "stacks.toml"
    path.write_text(
        path.read_text().replace('overlays = ["lab"]', 'overlays = ["lab"]\nvariants = ["cpu", "cuda"]')
        + "[variants.cuda]\n"
    )
    site.build()
    project = site.project()
    targets = [one for one in project.manifest.targets() if one.image == "lab" and one.platform == "linux/amd64"]
    names, _ = save.archive(project, build.plan(project, targets), targets, "oci", ["1"])
    assert [name.rpartition("/")[2] for name in names] == ["lab:1", "lab-cuda:1"]


# Releases ------------------------------------------------------------------------------------------------------


def names(site: Site) -> tuple[str, ...]:
    manifest = site.project().manifest
    return releases.names_of(manifest, [one for one in manifest.targets() if one.image == "full"])


def three(site: Site) -> list[Digest]:
    """Push three states of one image under the same tag."""
    found = []
    for text in ("one", "two", "three"):
        site.overlay("full", text)
        site.build("full")
        (pushed,), _ = site.push("full")
        found.append(pushed.digest)
    return found


def test_releases_are_kept_by_digest(site: Site, registry: FakeUploads) -> None:
    digests = three(site)
    found = releases.recorded(site.project(), names(site))
    assert [one.digest for one in found] == digests
    assert {one.tags[0] for one in found} == {"2026.11"}
    assert sorted(found[0].platforms) == ["linux/amd64", "linux/arm64"]


def test_back_and_back_again(site: Site, registry: FakeUploads) -> None:
    digests = three(site)
    blobs = dict(registry.blobs)
    for before, after in ((2, 1), (1, 0)):
        (moved,) = releases.rollback(site.project(), names(site), "2026.11")
        assert (moved.before, moved.digest) == (digests[before], digests[after])
        assert Digest.of(registry.manifests["notebooks/full", "2026.11"]) == digests[after]
    with pytest.raises(StackbuildError, match="named nothing else before"):
        releases.rollback(site.project(), names(site), "2026.11")
    assert registry.blobs == blobs


def test_what_a_tag_was_taken_back_from_is_no_place_to_go_back_to(site: Site, registry: FakeUploads) -> None:
    first, _, _ = three(site)
    for _ in range(2):
        releases.rollback(site.project(), names(site), "2026.11")
    site.overlay("full", "four")
    site.build("full")
    (pushed,), _ = site.push("full")
    (moved,) = releases.rollback(site.project(), names(site), "2026.11")
    assert (moved.before, moved.digest) == (pushed.digest, first)


def test_a_tag_goes_back_to_what_it_named_and_not_to_what_was_pushed(site: Site, registry: FakeUploads) -> None:
    one, _, three_ = three(site)
    for digest in (one, three_):
        releases.promote(site.project(), names(site), digest, ["stable"])
    (moved,) = releases.rollback(site.project(), names(site), "stable")
    assert moved.digest == one


def test_a_tag_for_what_another_names(site: Site, registry: FakeUploads) -> None:
    digests = three(site)
    (moved,) = releases.promote(site.project(), names(site), "2026.11", ["stable"])
    assert (moved.tag, moved.before, moved.digest) == ("stable", None, digests[2])
    (moved,) = releases.promote(site.project(), names(site), digests[0], ["stable"])
    assert (moved.before, moved.digest) == (digests[2], digests[0])
    assert releases.promote(site.project(), names(site), digests[0], ["stable"]) == ()
    registry.seen.clear()
    with pytest.raises(StackbuildError, match="no such image"):
        releases.promote(site.project(), names(site), "never", ["stable"])
    assert "PUT" not in {method for method, _ in registry.seen}


def test_all_images_or_none(site: Site, registry: FakeUploads) -> None:
    """A tag that one image lacks moves no tag of another."""
    site.build()
    site.push()
    releases.promote(site.project(), names(site), "2026.11", ["checked"])
    registry.seen.clear()
    manifest = site.project().manifest
    everything = releases.names_of(manifest, tuple(manifest.targets()))
    with pytest.raises(StackbuildError, match="no such image"):
        releases.promote(site.project(), everything, "checked", ["stable"])
    assert "PUT" not in {method for method, _ in registry.seen}


def test_what_somebody_else_pushed_is_not_guessed_at(site: Site, registry: FakeUploads) -> None:
    three(site)
    (site.store.path / "pushed.jsonl").unlink()
    with pytest.raises(StackbuildError, match="not named from this store"):
        releases.rollback(site.project(), names(site), "2026.11")


@pytest.mark.parametrize("line", ["{", "[]", '{"time": 1}', "null"])
def test_a_damaged_record(site: Site, line: str) -> None:
    (site.store.path / "pushed.jsonl").write_text(line + "\n")
    with pytest.raises(StackbuildError, match="record of releases is damaged"):
        releases.recorded(site.project())


# Tags ----------------------------------------------------------------------------------------------------------


def tags(site: Site, *templates: str) -> tuple[str, ...]:
    return Tags(site.project(), templates).of(Digest.of(b""))


def commit(folder: Path) -> str:
    who = ["-c", "user.name=Test", "-c", "user.email=test@example.com"]
    day = {"GIT_COMMITTER_DATE": "2026-11-21T10:20:30+02:00", "PATH": "/usr/bin:/bin"}
    for arguments in (["init", "-q"], ["add", "stacks.toml"], ["commit", "-qm", "one"]):
        subprocess.run(["git", *who, "-C", str(folder), *arguments], check=True, env=day)
    done = subprocess.run(["git", "-C", str(folder), "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_tags_of_a_commit(site: Site) -> None:
    """The time is the commit's, in UTC; files that git does not know make nothing dirty."""
    revision = commit(site.folder)
    assert tags(site, "{time}-{revision}", "latest") == (f"20261121T082030Z-{revision[:12]}", "latest")
    (site.folder / "stacks.toml").open("a").write("# more\n")
    assert tags(site, "{revision}") == (f"{revision[:12]}-dirty",)


def test_tags_without_git(site: Site) -> None:
    with pytest.raises(StackbuildError, match="git failed"):
        tags(site, "{revision}")


@pytest.mark.parametrize("template", ["", "-x", "a b", "a/b", "x" * 129, "{other}"])
def test_no_tag(site: Site, template: str) -> None:
    with pytest.raises(StackbuildError, match="not a tag"):
        tags(site, template)


def test_a_version_that_is_not_said(site: Site) -> None:
    path = site.folder / "stacks.toml"
    path.write_text(path.read_text().replace('version = "2026.11"\n', ""))
    with pytest.raises(StackbuildError) as caught:
        tags(site, "{version}")
    assert "[project]" in caught.value.next_step
