"""A base image that must be signed: looked at when it is locked, before anything of it is fetched, and never again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from builder.digest import Digest
from builder.errors import StackbuildError
from builder.kinds.oci.lockfile import BaseLock
from builder.manifest.model import Target
from builder.workflow import build, lock
from tests.fake_image import MANIFEST as MANIFEST_TYPE
from tests.fake_image import put
from tests.fake_registry import FakeRegistry
from tests.image_signatures import beside, document, openssl, pair, row
from tests.kinds.oci.test_oci_family import CHILD, MANIFEST, ROOT, Site

ASKING = MANIFEST.replace('from = "oci:BASE"', 'from = "oci:BASE"\nrequire-signature = ["keys/a.pub", "keys/b.pub"]')


class Signed:
    """A project that asks for signatures, the layout behind its registry, and two who may sign."""

    def __init__(self, site: Site, layout: Path) -> None:
        self.site = site
        self.layout = layout
        self.private = {name: pair(site.folder / "keys", name)[0] for name in ("a", "b", "stranger")}
        rows = json.loads((layout / "index.json").read_bytes())["manifests"]
        self.index = str(rows[0]["digest"])

    def sign(self, *names: str, digest: str = "", about: str = "") -> None:
        digest = digest or self.index
        data = document(about or digest)
        beside(self.layout, digest, *(row(self.layout, self.private[name], data) for name in names))

    def locked(self) -> BaseLock:
        found = self.site.project().locks.read(ROOT, "oci")
        assert isinstance(found, BaseLock)
        return found

    def check(self, **options: bool) -> list[StackbuildError]:
        project = self.site.project()
        return lock.check(project, tuple(project.manifest.targets()), **options)


@pytest.fixture
def signed(tmp_path: Path, registry: FakeRegistry, layout: Path) -> Signed:
    site = Site(tmp_path / "project", f"{registry.host}/team/base:1.0", text=ASKING)
    return Signed(site, layout)


def fingerprint(public: Path) -> str:
    return str(Digest.of(openssl("pkey", "-pubin", "-in", str(public), "-outform", "DER")))


def test_a_signed_base_is_locked_with_who_signed_it(signed: Signed, registry: FakeRegistry) -> None:
    signed.sign("stranger", "b")
    signed.site.lock()
    path, digest = signed.locked().signed_by or ("", "")
    assert (path, digest) == ("keys/b.pub", fingerprint(signed.site.folder / "keys/b.pub"))
    text = (signed.site.folder / "locks/root/linux-amd64.oci.toml").read_text()
    assert f'signed-by = {{ key = "keys/b.pub", digest = "{digest}" }}\n' in text
    assert not signed.check() and not signed.check(require_signature=True)
    registry.seen.clear()
    assert signed.site.lock() == () and not registry.seen, "what is locked is not looked at again"
    signed.site.build(CHILD)
    assert not registry.seen


@pytest.mark.parametrize("names", [[], ["stranger"]])
def test_an_unsigned_base_is_refused_before_its_layers_come(
    names: list[str], signed: Signed, registry: FakeRegistry
) -> None:
    if names:
        signed.sign(*names)
    with pytest.raises(StackbuildError, match=r"not signed: .*team/base:1.0@sha256") as caught:
        signed.site.lock()
    assert "keys/a.pub or keys/b.pub" in str(caught.value)
    assert ("not by a known key" if names else "no signature") in str(caught.value)
    assert not (signed.site.folder / "locks").exists()
    layers = json.loads((signed.layout / "blobs/sha256" / str(manifest(signed))[7:]).read_bytes())["layers"]
    assert not {one["digest"] for one in layers} & set(registry.blobs())


def manifest(signed: Signed) -> str:
    """The digest of the platform's manifest."""
    found = json.loads((signed.layout / "blobs/sha256" / signed.index[7:]).read_bytes())
    return str(found["manifests"][0]["digest"])


def test_a_moved_signature_is_refused(signed: Signed) -> None:
    other = put(signed.layout, b'{"other": 1}', MANIFEST_TYPE)["digest"]
    signed.sign("a", about=str(other))
    with pytest.raises(StackbuildError, match="not signed") as caught:
        signed.site.lock()
    assert f"keys/a.pub has signed, but it is of another image: {other}" in str(caught.value)


def test_a_signature_of_the_platforms_manifest_is_enough(signed: Signed) -> None:
    """Of an index that somebody else made, perhaps."""
    signed.sign("a", digest=manifest(signed))
    signed.site.lock()
    locked = signed.locked()
    assert (locked.index, locked.manifest) == (signed.index, manifest(signed))
    assert locked.index != locked.manifest and locked.signed_by is not None


def test_a_key_that_is_asked_for_later_is_looked_for_then(signed: Signed, registry: FakeRegistry) -> None:
    signed.site.text = MANIFEST
    signed.site.lock()
    before = signed.locked()
    signed.site.text = ASKING
    (problem,) = signed.check()
    assert problem.what == f"lock is stale: {ROOT}, oci" and "no signature" in problem.got
    with pytest.raises(StackbuildError, match="lock is stale: root:cpu@linux/amd64, oci"):
        build.plan(signed.site.project(), [CHILD])
    with pytest.raises(StackbuildError, match="not signed"):
        signed.site.lock()
    signed.sign("a")
    registry.seen.clear()
    signed.site.lock()
    assert not [path for _, path in registry.seen if path.endswith(before.pins[0].digest)], "nothing else is asked for"
    assert signed.locked().signed_by is not None and signed.locked().layers == before.layers
    signed.site.text = MANIFEST
    assert "nothing about a signature" in signed.check()[0].expected
    signed.site.lock()
    assert signed.locked() == before


def test_another_key_under_the_same_name_signed_nothing(signed: Signed) -> None:
    signed.sign("a")
    signed.site.lock()
    shutil.copy(signed.site.folder / "keys/stranger.pub", signed.site.folder / "keys/a.pub")
    assert [one.what for one in signed.check()] == [f"lock is stale: {ROOT}, oci"]
    with pytest.raises(StackbuildError, match="not signed"):
        signed.site.lock()


def test_a_key_that_is_not_there(signed: Signed) -> None:
    (signed.site.folder / "keys/b.pub").unlink()
    with pytest.raises(StackbuildError, match="not a key for signatures on images") as caught:
        signed.site.lock()
    assert caught.value.where == "keys/b.pub"


def test_a_key_that_is_a_link(signed: Signed) -> None:
    """What it leads to is in no review."""
    (signed.site.folder / "keys/a.pub").unlink()
    (signed.site.folder / "keys/a.pub").symlink_to(signed.site.folder / "keys/stranger.pub")
    signed.sign("stranger")
    with pytest.raises(StackbuildError, match=r"a public key is reached through a link: keys/a.pub"):
        signed.site.lock()


def test_every_base_must_be_signed_if_it_is_wished(signed: Signed) -> None:
    signed.site.text = MANIFEST
    with pytest.raises(StackbuildError, match="nobody says who must have signed the base image of root") as caught:
        signed.site.lock(require_signature=True)
    assert "stacks.toml:" in str(caught.value) and "require-signature" in caught.value.next_step
    signed.site.lock()
    assert not signed.check()
    assert [one.what.partition(":")[0] for one in signed.check(require_signature=True)] == [
        "nobody says who must have signed the base image of root"
    ]
    with pytest.raises(StackbuildError, match="nobody says who"):
        build.refuse_unsigned(signed.site.project(), [CHILD])


def test_what_stays_is_looked_at_again_if_it_is_wished(signed: Signed) -> None:
    signed.sign("a")
    signed.site.lock()
    build.refuse_unsigned(signed.site.project(), [CHILD])
    signed.sign("stranger")
    assert signed.site.lock() == ()
    with pytest.raises(StackbuildError, match="not signed"):
        signed.site.lock(require_signature=True)


def test_an_image_of_a_folder_has_its_signature_there(signed: Signed, tmp_path: Path) -> None:
    signed.sign("a")
    site = Site(tmp_path / "other", "./layout:1.0", text=ASKING)
    shutil.copytree(signed.layout, site.folder / "layout")
    shutil.copytree(signed.site.folder / "keys", site.folder / "keys")
    site.lock()
    found = site.project().locks.read(ROOT, "oci")
    assert isinstance(found, BaseLock) and found.signed_by is not None


def test_a_variant_may_have_another_signer(signed: Signed) -> None:
    signed.site.text = ASKING.replace(
        "[images.child]", '[images.root.on."@linux/amd64"]\nrequire-signature = ["keys/b.pub"]\n\n[images.child]'
    )
    assert signed.site.project().manifest.image(ROOT).require_signature == ("keys/b.pub",)
    assert (
        signed.site.project().manifest.image(Target("root", "cpu", "linux/arm64")).require_signature[0] == "keys/a.pub"
    )
