"""Signatures judged by others: cosign itself, and skopeo with a policy, verify ours; we verify cosign's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.errors import StackbuildError
from builder.manifest.model import Target
from builder.signatures.keys import PrivateKey, private, public
from builder.transports.signature_tag import tag
from builder.workflow import build, lock, sign_check
from builder.workflow.lock import Wish
from builder.workflow.sign import Signed, Wanted, sign
from tests.conftest import Once
from tests.e2e import services, trixie
from tests.e2e.services import Registry
from tests.e2e.trixie import Programs
from tests.image_family import Site
from tests.image_signatures import P256, RSA, pair

IGNORE = "--insecure-ignore-tlog=true"
"""Nothing is written into a public log here."""
PASSPHRASE = "hunter22"


@pytest.fixture(scope="module")
def programs(once: Once) -> Programs:
    return Programs(once("trixie", trixie.download) / "root")


class Place:
    """A family in Debian's registry, and who may verify what of it."""

    def __init__(self, folder: Path, registry: Registry, programs: Programs) -> None:
        self.folder, self.registry, self.programs = folder, registry, programs
        self.site = Site(folder, registry.host)
        self.site.build()
        self.site.push()
        self.name = f"{registry.host}/notebooks/lab"

    def sign(self, key: PrivateKey) -> tuple[Signed, ...]:
        project = self.site.project()
        targets = [Target("lab", "cpu", one) for one in project.manifest.project.platforms]
        return sign(project, build.plan(project, targets), targets, Wanted(key=key))

    def copied(self, reference: str, key: Path, *options: str, identity: str = "matchRepository") -> str:
        """Why skopeo does not copy an image under a policy that wants it signed by a key; "" if it does."""
        wanted = {"type": "sigstoreSigned", "keyPath": str(key), "signedIdentity": {"type": identity}}
        policy = {"default": [{"type": "reject"}], "transports": {"docker": {self.registry.host: [wanted]}}}
        (self.folder / "policy.json").write_text(json.dumps(policy))
        (self.folder / "registries.d").mkdir(exist_ok=True)
        text = f"docker:\n  {self.registry.host}:\n    use-sigstore-attachments: true\n"
        (self.folder / "registries.d/here.yaml").write_text(text)
        rules = ["--policy", str(self.folder / "policy.json"), "--registries.d", str(self.folder / "registries.d")]
        copy = ["copy", "--quiet", "--src-tls-verify=false", *options, f"docker://{reference}"]
        done = self.programs.run("skopeo", *rules, *copy, f"dir:{self.folder / 'copied'}")
        return done.stderr if done.returncode else ""

    def command(self, *arguments: str, text: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
        """stackbuild, as a user types it."""
        command = [sys.executable, "-P", "-m", "builder.cli", "-C", str(self.site.folder), *arguments]
        env = {**os.environ, "STACKBUILD_STORE": str(self.site.store.path), **environ}
        return subprocess.run(command, input=text, env=env, capture_output=True, text=True, check=False)

    def cosign(self, *arguments: str) -> str:
        """Why cosign does not do it; "" if it does."""
        done = self.programs.run("cosign", *arguments, COSIGN_PASSWORD=PASSPHRASE, HOME=str(self.folder))
        return done.stderr if done.returncode else ""


@pytest.fixture
def place(tmp_path: Path, programs: Programs, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setenv("HOME", str(tmp_path))
    with services.registry(tmp_path / "registry") as registry:
        yield Place(tmp_path, registry, programs)


@pytest.mark.parametrize("kind", [P256, RSA], ids=["ECDSA", "RSA"])
def test_others_accept_what_we_signed_and_nothing_else(kind: tuple[str, ...], place: Place, tmp_path: Path) -> None:
    key, pub = pair(tmp_path, "ours", kind)
    _, stranger = pair(tmp_path, "theirs", kind)
    reference = f"{place.name}:2026.11"
    assert "A signature was required, but no signature exists" in place.copied(reference, pub)
    assert "no signatures found" in place.cosign("verify", IGNORE, "--key", str(pub), reference)
    found = place.sign(private(str(key), "", "X"))
    assert len(found) == 3
    for one in found:
        assert not place.cosign("verify", IGNORE, "--key", str(pub), f"{one.name}@{one.digest}")
    assert not place.copied(reference, pub, "--all"), "the index and every manifest in it"
    for platform in ("amd64", "arm64"):
        assert not place.copied(reference, pub, f"--override-arch={platform}")
    for options in ([], ["--all"]):
        assert "cryptographic signature verification failed" in place.copied(reference, stranger, *options)
    assert "no matching signatures" in place.cosign("verify", IGNORE, "--key", str(stranger), reference)


def test_others_refuse_a_signature_that_was_moved(place: Place, tmp_path: Path) -> None:
    key, pub = pair(tmp_path, "ours")
    (first, second, _) = place.sign(private(str(key), "", "X"))
    source, target = (f"docker://{place.name}:{tag(one.digest)}" for one in (first, second))
    plain = ["--insecure-policy", "copy", "--quiet", "--src-tls-verify=false", "--dest-tls-verify=false"]
    done = place.programs.run("skopeo", *plain, source, target)
    assert not done.returncode, done.stderr
    assert not place.copied(f"{first.name}@{first.digest}", pub)
    why = place.copied(f"{second.name}@{second.digest}", pub)
    assert f"Signature for digest {first.digest} does not match" in why
    why = place.cosign("verify", IGNORE, "--key", str(pub), f"{second.name}@{second.digest}")
    assert f"invalid or missing digest in claim: {first.digest}" in why
    project = place.site.project()
    checked = sign_check.check(project, [place.name], public(pub, "ours.pub"), templates=[str(second.digest)])
    assert f"it is of another image: {first.digest}" in checked[0].why


def test_we_accept_what_cosign_signed_and_add_to_it(place: Place, tmp_path: Path) -> None:
    assert not place.cosign("generate-key-pair", "--output-key-prefix", str(tmp_path / "cosign"))
    reference = f"{place.name}:2026.11"
    options = ["--tlog-upload=false", "--recursive", "--yes", "--key", str(tmp_path / "cosign.key")]
    assert not place.cosign("sign", *options, reference)
    project = place.site.project()
    theirs = public(tmp_path / "cosign.pub", "cosign.pub")
    found = sign_check.check(project, [place.name], theirs)
    assert len(found) == 3 and not any(one.why for one in found)
    same = private(str(tmp_path / "cosign.key"), PASSPHRASE, "X")
    assert not any(one.new for one in place.sign(same)), "cosign's own key, which it encrypts, has signed already"
    key, pub = pair(tmp_path, "ours")
    assert all(one.new for one in place.sign(private(str(key), "", "X")))
    for one in (tmp_path / "cosign.pub", pub):
        assert not place.cosign("verify", IGNORE, "--key", str(one), reference)
        assert not place.copied(reference, one, "--all")
    assert not place.cosign("sign", *options, reference), "cosign adds to what we wrote"
    assert not any(one.why for one in sign_check.check(project, [place.name], public(pub, "ours.pub")))


def test_a_base_that_cosign_signed_is_locked(place: Place, tmp_path: Path) -> None:
    assert not place.cosign("generate-key-pair", "--output-key-prefix", str(tmp_path / "project/base"))
    path = place.site.folder / "stacks.toml"
    asked = f'from = "oci:{place.name}:2026.11"\nrequire-signature = ["base.pub"]'
    path.write_text(path.read_text().replace('from = "oci:../layout:1.0"', asked))
    project = place.site.project()
    with pytest.raises(StackbuildError, match="not signed"):
        lock.lock(project, tuple(project.manifest.targets()), Wish(), lambda _: None)
    # The index alone, as cosign does by default.
    options = ["--tlog-upload=false", "--yes", "--key", str(tmp_path / "project/base.key")]
    assert not place.cosign("sign", *options, f"{place.name}:2026.11")
    project = place.site.project()
    lock.lock(project, tuple(project.manifest.targets()), Wish(), lambda _: None)
    assert not lock.check(project, tuple(project.manifest.targets()), require_signature=True)
    strict = ("--require-signature", "lab@linux/amd64")
    assert place.command("lock", *strict).returncode == 0
    assert place.command("build", *strict, "--dry-run").returncode == 0
    path.write_text(path.read_text().replace('require-signature = ["base.pub"]\n', ""))
    for command in (
        ("lock", *strict),
        ("lock", "--check", *strict),
        ("build", *strict),
        ("build", *strict, "--changed"),
    ):
        done = place.command(*command)
        assert done.returncode == 1 and "nobody says who must have signed the base image of root" in done.stderr


def test_the_command(place: Place, tmp_path: Path) -> None:
    key, pub = pair(tmp_path, "ours")
    _, stranger = pair(tmp_path, "theirs")
    done = place.command("sign", "lab")
    assert done.returncode == 1 and "no key to sign with" in done.stderr
    shown = place.command("sign", "lab", "--key", key.read_text())
    assert shown.returncode == 1 and "does not belong into a command line" in shown.stderr
    assert "PRIVATE" not in shown.stderr
    first, second = (place.command("sign", f"lab@linux/{one}", "--dry-run") for one in ("amd64", "arm64"))
    assert [len(one.stdout.splitlines()) for one in (first, second)] == [1, 1], first.stderr + second.stderr
    assert "stays unsigned" in first.stderr
    listed = place.command("sign", "lab", "--dry-run").stdout.splitlines()
    assert len(listed) == 3 and {*first.stdout.splitlines(), *second.stdout.splitlines()} == {*listed[:2]}
    empty = str(tmp_path / "empty store")
    done = place.command(
        "sign", "lab", "--built", "-", "--dry-run", text=first.stdout + second.stdout, STACKBUILD_STORE=empty
    )
    assert {*done.stdout.splitlines()} == {*listed}, done.stderr
    assert not place.cosign("generate-key-pair", "--output-key-prefix", str(tmp_path / "cosign"))
    options = ["--tlog-upload=false", "--yes", "--key", str(tmp_path / "cosign.key")]
    assert not place.cosign("sign", *options, *done.stdout.split()), "another program signs what is listed"
    theirs = place.command("sign", "lab", "--check", "--key", str(tmp_path / "cosign.pub"))
    assert theirs.returncode == 0 and theirs.stdout.count("  signed\n") == 3

    checked = place.command("sign", "lab", "--check", "--key", str(pub), "--json", STACKBUILD_STORE=empty)
    assert checked.returncode == 1 and {row["why"] for row in json.loads(checked.stdout)} == {
        "a signature, not by a known key"
    }
    signed = place.command("sign", "lab", STACKBUILD_SIGNING_KEY=key.read_text())
    assert signed.returncode == 0 and signed.stdout.splitlines() == listed and "signed 3; 0" in signed.stderr
    again = place.command("sign", "lab", "--key", str(key), "--json")
    assert [row["new"] for row in json.loads(again.stdout)] == [False] * 3
    assert place.command("sign", "lab", "--key", str(key), "--dry-run").stdout == ""
    assert place.command("sign", "lab", "--check", "--key", str(pub), STACKBUILD_STORE=empty).returncode == 0
    wrong = place.command("sign", "lab", "--check", "--key", str(stranger), "--tag", "2026.11")
    assert wrong.returncode == 1 and f"not signed by {stranger}: 3 of 3" in wrong.stderr
    assert wrong.stdout.count("  2 signatures, none by a known key\n") == 3
    assert place.command("sign", "--check", "--dry-run").returncode == 2
    assert key.read_text().splitlines()[1] not in "".join(one.stdout + one.stderr for one in (signed, again, done))
