"""Who holds a package: targets by their locks, releases by what pushes wrote down, or by the commit of their tag."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from builder.advisories.hits import Subject
from builder.advisories.holdings import Affected
from builder.errors import StackbuildError
from builder.manifest.model import Target
from builder.workflow import lock, releases
from builder.workflow.affected import affected, question
from builder.workflow.lock import Wish
from builder.workflow.subjects import subjects
from tests.e2e.project import ROOT
from tests.e2e.project import Site as Catalogue
from tests.fake_image import Image, file, tagged
from tests.fake_uploads import FakeUploads
from tests.image_family import Site

PLATFORMS = ("linux/amd64", "linux/arm64")
OPENSSL = "Package: libssl3\nSource: openssl{}\nVersion: {}\nArchitecture: {}\nStatus: install ok installed\n"


def rebase(site: Site, tmp_path: Path, version: str, source: str = "") -> None:
    """Let the family stand on a base with that version of Debian's libssl3, and lock it."""
    tag = version.replace("~", "-").replace("+", "-")
    both = [
        Image(
            [
                [
                    file("etc/os-release", "ID=debian\nVERSION_ID=12\nVERSION_CODENAME=bookworm\n"),
                    file("var/lib/dpkg/status", OPENSSL.format(source, version, platform.partition("/")[2])),
                ]
            ],
            platform=platform,
        )
        for platform in PLATFORMS
    ]
    tagged(tmp_path / "layout", tag, *both)
    path = site.folder / "stacks.toml"
    text = path.read_text()
    path.write_text(text.replace(text.partition("layout:")[2].partition('"')[0], tag))
    project = site.project()
    lock.lock(project, tuple(project.manifest.targets()), Wish(), lambda _: None)


def ask(site: Site, text: str, kind: str = "") -> Affected:
    return affected(site.project(), question(text, kind))


@pytest.mark.parametrize(
    ("text", "name", "bounds"),
    [
        ("openssl", "openssl", ()),
        ("openssl<3.0.14", "openssl", (("<", "3.0.14"),)),
        ("openssl < 3.0.14", "openssl", (("<", "3.0.14"),)),
        ("numpy>=1.26,<2", "numpy", ((">=", "1.26"), ("<", "2"))),
        ("@coder/logger==3.0.1", "@coder/logger", (("==", "3.0.1"),)),
        ("git==1:2.39.5-0+deb12u2", "git", (("==", "1:2.39.5-0+deb12u2"),)),
        ("libstdc++6!=12.2.0-14~x", "libstdc++6", (("!=", "12.2.0-14~x"),)),
    ],
)
def test_questions(text: str, name: str, bounds: tuple[tuple[str, str], ...]) -> None:
    found = question(text)
    assert (found.name, found.bounds) == (name, bounds)


@pytest.mark.parametrize("text", ["", "<3", "openssl<", "openssl<3<4", "openssl 3", "a b", "openssl<3,,", "-x"])
def test_what_is_no_question(text: str) -> None:
    with pytest.raises(StackbuildError, match="not a package"):
        question(text)


@pytest.mark.parametrize("kind", ["deb", "overlay"])
def test_no_such_kind(kind: str) -> None:
    """Kinds without packages were taken, and told of."""
    with pytest.raises(StackbuildError, match="no such kind") as caught:
        question("openssl", kind)
    assert caught.value.expected == "one of apt, conda, pip, npm, fetch"


def test_targets_of_the_catalogue(tmp_path: Path) -> None:
    """By the binary package's name, by the source's; versions in Debian's order, and PEP 440's."""
    site = Catalogue(ROOT, tmp_path / "store")
    project = site.project()
    scipy = Target("jupyter-scipy", "cpu", "linux/amd64")
    held = {one.name: one for one in subjects(project, scipy)}
    ssl, numpy = held["libssl3"].version, held["numpy"].version
    assert scipy in affected(project, question(f"libssl3<={ssl}")).targets
    assert scipy in affected(project, question(f"openssl=={ssl}")).targets
    assert scipy not in affected(project, question(f"libssl3<{ssl}")).targets
    assert scipy in affected(project, question(f"libssl3<{ssl}+b1")).targets
    assert scipy in affected(project, question(f"numpy<{numpy}.post1", "pip")).targets
    assert scipy not in affected(project, question(f"numpy<{numpy}", "pip")).targets
    assert not affected(project, question("numpy", "npm")).targets
    assert {one.name for one in affected(project, question("openssl", "apt")).targets[scipy]} == {"openssl"}


def test_the_command(tmp_path: Path) -> None:
    site = Catalogue(ROOT, tmp_path / "store")
    said = site.try_("affected", "Typing_Extensions>=1")
    assert said.code == 1 and "pip typing-extensions " in said.out and "jupyter:cpu@linux/amd64" in said.out
    nothing = site.try_("affected", "typing-extensions<1")
    assert (nothing.code, nothing.out) == (0, "")
    row = json.loads(site.try_("affected", "libssl3", "--json").out)["targets"][0]["packages"][0]
    assert set(row) == {"kind", "package", "name", "version", "image"}


def test_releases(site: Site, registry: FakeUploads, tmp_path: Path) -> None:
    """The digest that holds the old one is still told when locks and tags have moved on."""
    rebase(site, tmp_path, "3.0.11-1~deb12u1")
    site.build()
    (old,), _ = site.push("lab")
    rebase(site, tmp_path, "3.0.20-1~deb12u1")
    site.build()
    (new,), _ = site.push("lab")
    assert old.digest != new.digest

    found = ask(site, "openssl<3.0.14")
    assert not found.targets and found.unknown == ()
    (one,) = found.releases
    assert (one.name, one.digest) == (old.name, old.digest)
    assert "2026.11" in one.before and "2026.11" not in one.tags, "that tag names the new one by now"
    assert set(one.platforms) == set(PLATFORMS)
    (held,) = one.platforms["linux/amd64"]
    assert (held.package, held.name, held.version, held.image) == ("libssl3", "openssl", "3.0.11-1~deb12u1", "root")
    assert [each.digest for each in ask(site, "libssl3").releases] == [old.digest, new.digest]

    releases.promote(site.project(), [old.name], old.digest, ["stable"])
    (one,) = ask(site, "openssl<3.0.14").releases
    assert "stable" in one.tags


def test_a_binary_package_and_its_source_have_their_own_versions(site: Site, tmp_path: Path) -> None:
    rebase(site, tmp_path, "3.0.11-1+b1", " (3.0.11-1)")
    project = site.project()
    (held,) = (one for one in subjects(project, Target("root", "cpu", "linux/amd64")) if one.name == "libssl3")
    assert held.aliases == (("openssl", "3.0.11-1"),)
    assert ask(site, "openssl<=3.0.11-1").targets and not ask(site, "libssl3<=3.0.11-1").targets


def test_what_is_not_known_is_said(site: Site, registry: FakeUploads, tmp_path: Path) -> None:
    rebase(site, tmp_path, "3.0.11-1")
    site.build()
    (one,), _ = site.push("lab")
    for path in (site.store.path / "released").iterdir():
        path.unlink()
    found = ask(site, "openssl")
    assert (found.releases, found.unknown) == ((), (f"{one.name}@{one.digest}",))


def test_a_release_of_before_is_looked_up_at_its_commit(site: Site, registry: FakeUploads, tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        author = ("-c", "user.name=n", "-c", "user.email=n@example.com")
        subprocess.run(["git", "-C", str(site.folder), *author, *arguments], check=True, capture_output=True)

    rebase(site, tmp_path, "3.0.11-1")
    git("init", "-q")
    git("add", "-A")
    git("commit", "-qm", "locked")
    site.build()
    (one,), _ = site.push("lab", templates=["{time}-{revision}"])
    wrote = {path.name: path.read_bytes() for path in (site.store.path / "released").iterdir()}
    assert {digest.hex + ".json" for digest in one.platforms.values()} == set(wrote)
    for name in wrote:
        (site.store.path / "released" / name).unlink()
    rebase(site, tmp_path, "3.0.20-1")
    (found,) = ask(site, "openssl<3.0.14").releases
    assert found.digest == one.digest and set(found.platforms) == set(PLATFORMS)


def test_subjects_are_kept_as_they_are(site: Site, registry: FakeUploads, tmp_path: Path) -> None:
    from builder.workflow.released import Contents

    rebase(site, tmp_path, "3.0.11-1+b1", " (3.0.11-1)")
    site.build()
    (one,), _ = site.push("lab")
    kept = Contents(site.project()).of(one, "linux/amd64")
    assert kept is not None and all(isinstance(each, Subject) for each in kept)
    assert kept == subjects(site.project(), Target("lab", "cpu", "linux/amd64"))
    assert [each.ecosystem for each in kept[0].known] == ["Debian:12", "Debian"]
