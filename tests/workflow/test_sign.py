"""Signing what was pushed: each manifest, the index when somebody vouches for all in it; and looking for signatures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from builder.digest import Digest
from builder.errors import HostileInput, StackbuildError
from builder.manifest.model import Target
from builder.signatures.keys import PrivateKey, private, public
from builder.transports.signature_tag import tag
from builder.workflow import build, shipment, sign_check
from builder.workflow.sign import Signed, Wanted, read_lines, sign
from tests.fake_uploads import FakeUploads
from tests.image_family import Site
from tests.image_signatures import pair

AMD, ARM = (Target("lab", "cpu", f"linux/{one}") for one in ("amd64", "arm64"))


@pytest.fixture
def key(tmp_path: Path) -> PrivateKey:
    return private(str(pair(tmp_path, "ours")[0]), "", "--key")


class Signing:
    """A family, and what a run of `sign` said."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.told: list[str] = []

    def sign(self, *targets: Target, **wanted: object) -> list[Signed]:
        project = self.site.project()
        chosen = targets or (AMD, ARM)
        planned = build.plan(project, chosen)
        return list(sign(project, planned, chosen, Wanted(**wanted), self.told.append))  # type: ignore[arg-type]

    def digest(self, target: Target) -> Digest:
        project = self.site.project()
        (one,) = shipment.shipments(project, build.plan(project, [target]), [target])
        return one.digest

    @property
    def name(self) -> str:
        return self.site.project().manifest.published(AMD)

    def index(self, registry: FakeUploads) -> Digest:
        return Digest.of(registry.manifests["notebooks/lab", "2026.11"])


@pytest.fixture
def signing(site: Site) -> Signing:
    site.build()
    return Signing(site)


def beside(registry: FakeUploads, digest: Digest) -> int:
    """How many signatures lie beside it."""
    body = registry.manifests.get(("notebooks/lab", tag(digest)))
    return len(json.loads(body)["layers"]) if body else 0


def test_each_platform_and_the_index_are_signed_once(signing: Signing, registry: FakeUploads, key: PrivateKey) -> None:
    signing.site.push()
    wanted = [signing.digest(AMD), signing.digest(ARM), signing.index(registry)]
    first = signing.sign(key=key)
    assert [one.digest for one in first] == wanted and all(one.new for one in first)
    assert [beside(registry, one) for one in wanted] == [1, 1, 1]
    registry.seen.clear()
    again = signing.sign(key=key)
    assert [one.digest for one in again] == wanted and not any(one.new for one in again)
    assert not [method for method, _ in registry.seen if method in {"POST", "PUT", "PATCH"}]


def test_another_key_signs_beside_it(signing: Signing, registry: FakeUploads, key: PrivateKey, tmp_path: Path) -> None:
    signing.site.push()
    signing.sign(key=key)
    other = private(str(pair(tmp_path, "theirs")[0]), "", "--key")
    assert all(one.new for one in signing.sign(key=other))
    assert beside(registry, signing.index(registry)) == 2
    assert not any(one.new for one in signing.sign(key=key)), "the first one is still there"


def test_a_dry_run_writes_nothing(signing: Signing, registry: FakeUploads, key: PrivateKey) -> None:
    signing.site.push()
    before = dict(registry.manifests)
    for one in (None, key):
        assert [row.new for row in signing.sign(key=one, dry_run=True)] == [True] * 3
    assert registry.manifests == before


def test_what_is_not_pushed_is_not_signed(signing: Signing, registry: FakeUploads, key: PrivateKey) -> None:
    with pytest.raises(StackbuildError, match=r"not pushed: .*notebooks/lab@sha256"):
        signing.sign(key=key)
    assert not registry.manifests


def test_the_index_waits_for_whoever_built_the_rest(signing: Signing, registry: FakeUploads, key: PrivateKey) -> None:
    """Two machines push a platform each; each signs its own, and the last one the index."""
    signing.site.push()
    first = signing.sign(AMD, key=key)
    assert [one.digest for one in first] == [signing.digest(AMD)]
    assert "stays unsigned" in signing.told[0] and signing.digest(ARM) in signing.told[0]
    second = signing.sign(ARM, key=key)
    assert [one.digest for one in second] == [signing.digest(ARM), signing.index(registry)]


def test_a_signature_of_another_key_vouches_for_nothing(
    signing: Signing, registry: FakeUploads, key: PrivateKey, tmp_path: Path
) -> None:
    signing.site.push()
    signing.sign(ARM, key=private(str(pair(tmp_path, "theirs")[0]), "", "--key"))
    assert [one.digest for one in signing.sign(AMD, key=key)] == [signing.digest(AMD)]
    assert not beside(registry, signing.index(registry))


def test_an_index_with_a_stranger_in_it_is_not_signed(signing: Signing, registry: FakeUploads, key: PrivateKey) -> None:
    """Whoever can write to the registry puts a manifest of his own into it, even for a platform that we built too."""
    signing.site.push()
    index = json.loads(registry.manifests["notebooks/lab", "2026.11"])
    index["manifests"].append({**index["manifests"][0], "digest": Digest.of(b"theirs")})
    body = json.dumps(index).encode()
    for name in ("2026.11", str(Digest.of(body))):
        registry.manifests["notebooks/lab", name] = body
    found = {one.digest for one in signing.sign(key=key)}
    assert Digest.of(body) not in found and not beside(registry, Digest.of(body))
    assert "stays unsigned" in signing.told[0] and Digest.of(b"theirs") in signing.told[0]


def test_an_index_of_nonsense_is_refused(signing: Signing, registry: FakeUploads, key: PrivateKey) -> None:
    signing.site.push()
    media_type = "application/vnd.oci.image.index.v1+json"
    registry.manifests["notebooks/lab", "2026.11"] = json.dumps({"mediaType": media_type, "manifests": [7]}).encode()
    with pytest.raises(HostileInput, match="not an index"):
        signing.sign(key=key)


def test_what_other_machines_printed_is_believed(signing: Signing, registry: FakeUploads) -> None:
    """A job that signs has nothing but the lines that the jobs which pushed printed."""
    signing.site.push()
    lines = [f"{one.name}@{one.digest}\n" for target in (AMD, ARM) for one in signing.sign(target, dry_run=True)]
    assert len(lines) == 2, "none of them can vouch for the index"
    project = signing.site.project()
    elsewhere = read_lines([*lines, "\n"], [signing.name])
    found = sign(project, {}, [], Wanted(dry_run=True, elsewhere=elsewhere))
    assert {one.digest for one in found} == {signing.digest(AMD), signing.digest(ARM), signing.index(registry)}


def test_a_platform_that_did_not_change_is_known_by_its_plan_key(signing: Signing, registry: FakeUploads) -> None:
    """It was pushed long ago, and no machine says today that it built it."""
    signing.site.push()
    project = signing.site.project()
    planned = build.plan(project, [AMD, ARM])
    found = sign(project, planned, [AMD], Wanted(dry_run=True))
    assert {one.digest for one in found} == {signing.digest(AMD), signing.index(registry)}
    signing.site.overlay("lab", "another")
    assert len(sign(project, build.plan(signing.site.project(), [ARM]) | {AMD: planned[AMD]}, [AMD], Wanted())) == 1


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (f"other.example.com/lab@{Digest.of(b'')}", "not an image of this project"),
        ("HOST@sha256:x", "not a digest"),
        ("--upload-pack=x", "not an image of this project"),
    ],
)
def test_a_line_that_is_none_is_refused(line: str, error: str) -> None:
    with pytest.raises(StackbuildError, match=error):
        read_lines([f"HOST@{Digest.of(b'')}", line], ["HOST"])


def test_tags_without_a_name_of_their_own_are_found_by_the_record(
    signing: Signing, registry: FakeUploads, key: PrivateKey
) -> None:
    """Where all tags have {key} in them, this store's last push says which index it was."""
    signing.site.push(templates=["{key}"])
    path = signing.site.folder / "stacks.toml"
    path.write_text(path.read_text().replace('tags = ["{version}", "{key}"]', 'tags = ["{key}"]'))
    found = signing.sign(key=key)
    assert len(found) == 3
    project = signing.site.project()
    checked = sign_check.check(project, [signing.name], key.public)
    assert {one.digest for one in checked} == {one.digest for one in found} and not any(one.why for one in checked)


def test_check_says_who_has_not_signed(
    signing: Signing, registry: FakeUploads, key: PrivateKey, tmp_path: Path
) -> None:
    signing.site.push()
    project = signing.site.project()
    assert {one.why for one in sign_check.check(project, [signing.name], key.public)} == {"no signature"}
    signing.sign(AMD, key=key)
    found = {one.digest: one.why for one in sign_check.check(project, [signing.name], key.public)}
    assert found == {
        signing.index(registry): "no signature", signing.digest(AMD): "", signing.digest(ARM): "no signature"
    }  # fmt: skip
    stranger = public(pair(tmp_path, "theirs")[1], "theirs.pub")
    by_digest = sign_check.check(project, [signing.name], stranger, templates=[str(signing.digest(AMD))])
    assert [(one.digest, one.why) for one in by_digest] == [(signing.digest(AMD), "a signature, not by a known key")]


def test_check_wants_to_know_of_what(signing: Signing, key: PrivateKey) -> None:
    signing.site.push()
    project = signing.site.project()
    with pytest.raises(StackbuildError, match=r"no such image: .*lab:2030.01"):
        sign_check.check(project, [signing.name], key.public, templates=["2030.01"])
    with pytest.raises(StackbuildError, match=r"which .*nobody is meant"):
        sign_check.check(project, [f"{signing.name}/nobody"], key.public, templates=["{key}"])
