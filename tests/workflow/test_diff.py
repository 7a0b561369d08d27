"""A family in git, built and pushed: what differs between revisions, targets, the working tree and a registry."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from builder.advisories.database import open_databases
from builder.awaited import ready
from builder.cli import cli
from builder.difference import Push, Report, total
from builder.errors import HostileInput, StackbuildError
from builder.exports import renderer
from builder.locks import Locks
from builder.manifest.read import read as manifest_of
from builder.net import Client
from builder.store import Store
from builder.workflow.advice import Question
from builder.workflow.diff import diff
from builder.workflow.project import Project
from tests.fake_uploads import FakeUploads, Request, uploads
from tests.image_family import Site
from tests.osv import affected, entry, folder


@pytest.fixture(scope="module")
def registry() -> Iterator[FakeUploads]:
    with uploads() as found:
        yield found


def git(folder: Path, *words: str) -> str:
    own = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *own, *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, registry: FakeUploads) -> Site:
    """Two commits, both built, the first one pushed; nothing in the working tree since."""
    found = Site(tmp_path_factory.mktemp("site"), registry.host)
    found.build()
    git(found.folder, "init", "-q", "-b", "main")
    git(found.folder, "add", ".")
    git(found.folder, "commit", "-qm", "one")
    git(found.folder, "tag", "v1")
    found.push()
    found.overlay("lab", "another text")
    found.build()
    git(found.folder, "commit", "-qam", "two")
    return found


@pytest.fixture
def dirty(site: Site) -> Iterator[Site]:
    """With a change in the working tree that is not built."""
    site.overlay("full", "not built")
    yield site
    git(site.folder, "checkout", "-q", ".")


def of(site: Site, a: str = "", b: str = "") -> Report:
    return diff(site.project(), a, b)


def both(name: str) -> list[str]:
    return [f"{name}:cpu@linux/{machine}" for machine in ("amd64", "arm64")]


def names(found: Report) -> list[str]:
    return [one.name for one in found.differences]


def test_nothing_changed_since_the_last_commit(site: Site) -> None:
    found = of(site)
    assert found.differences == () and len(found.same) == 6
    assert found.push == Push(size=0, exact=True)
    assert (found.a, found.b) == (f"HEAD ({git(site.folder, 'rev-parse', 'HEAD')[:12]})", "working tree")


def test_revision_and_working_tree(site: Site) -> None:
    found = of(site, "v1")
    assert names(found) == [*both("lab"), *both("full")]
    assert list(found.same) == both("root")
    for one in found.differences:
        assert one.exact and one.packages == () and one.push is not None
        assert [layer.name for layer in one.new or ()] == ["overlays"]
        assert [(layer.name, layer.image) for layer in one.gone or ()] == [("overlays", "lab")]
        assert one.push == Push(size=total(one.new or ()), exact=True)
        assert one.grown is not None
        assert [(row.kind, row.b - row.a) for row in one.grown] == [("overlays", len("another text") - len("lab"))]
    # One layer for both platforms and both images.
    assert found.push == found.differences[0].push


def test_a_build_recorded_how_long_it_took(site: Site) -> None:
    assert [one for one in (site.project().store.path / "took").iterdir() if b"milliseconds" in one.read_bytes()]


def test_two_revisions_either_way_round(site: Site) -> None:
    there, back = of(site, "v1", "HEAD"), of(site, "HEAD", "v1")
    assert names(there) == names(back) == [*both("lab"), *both("full")]
    assert [one.new for one in there.differences] == [one.gone for one in back.differences]


def test_targets_of_a_revision(site: Site) -> None:
    for a, b in (("v1:lab", ""), ("v1", "lab"), ("v1:lab", "lab"), ("v1:lab", "HEAD"), ("v1:lab", ".")):
        assert names(of(site, a, b)) == both("lab")
    assert names(of(site, "v1:lab@linux/arm64")) == both("lab")[1:]


def test_one_target_is_compared_with_its_last_commit(dirty: Site) -> None:
    assert names(of(dirty, "full")) == both("full")
    assert names(of(dirty, "lab")) == []
    assert names(of(dirty, ".")) == names(of(dirty)) == both("full")


def test_what_is_not_built_is_estimated(dirty: Site) -> None:
    for one in of(dirty).differences:
        assert not one.exact and one.push == Push(size=len("not built"), exact=False)
        assert [(layer.name, layer.image) for layer in one.new or ()] == [("overlays", "full")]
        assert one.grown is None and one.compressed[0] and one.compressed[1] is None


def test_two_targets_on_each_platform(site: Site) -> None:
    found = of(site, "lab", "full")
    assert names(found) == [f"{one} → {other}" for one, other in zip(both("lab"), both("full"), strict=True)]
    assert [[layer.image for layer in one.new or ()] for one in found.differences] == [["full"], ["full"]]
    assert names(of(site, "lab@linux/amd64", "full")) == [" → ".join((both("lab")[0], both("full")[0]))]


def test_an_image_that_came_and_one_that_went(site: Site) -> None:
    path = site.folder / "stacks.toml"
    text = path.read_text()
    path.write_text(text.replace("[images.full]", "[images.new]"))
    (site.folder / "locks/new").mkdir()
    try:
        found = of(site)
        assert names(found) == [*both("new"), *both("full")]
        assert [(one.a is None, one.b is None) for one in found.differences] == [(True, False)] * 2 + [
            (False, True)
        ] * 2
        assert found.push == Push(size=0, exact=False)  # Under another name it is not built, but has the same layers.
    finally:
        path.write_text(text)
        (site.folder / "locks/new").rmdir()


def test_a_target_that_cannot_be_planned_says_why(site: Site) -> None:
    path = site.folder / "locks/root/linux-amd64.oci.toml"
    text = path.read_text()
    path.unlink()
    try:
        found = of(site, "root@linux/amd64")
        (one,) = found.differences
        assert "cannot be planned: lock is missing" in one.notes[0]
        assert one.packages is not None and [change.how for change in one.packages] == ["removed"]
        assert one.push is None and found.push is None
    finally:
        path.write_text(text)


def test_an_image_in_the_registry(site: Site, registry: FakeUploads) -> None:
    registry.seen.clear()
    found = of(site, f"{registry.host}/notebooks/lab:2026.11")
    name = f"{registry.host}/notebooks/lab:2026.11"
    assert names(found) == [f"{name}, {one.partition('@')[2]} → {one}" for one in both("lab")]
    for one in found.differences:
        assert one.exact and one.packages is None and one.grown is None
        assert [layer.name for layer in one.new or ()] == [layer.name for layer in one.gone or ()] == ["overlays"]
        assert one.push == Push(size=total(one.new or ()), exact=True)
    layers = {str(layer.digest) for one in found.differences for layer in (*(one.new or ()), *(one.gone or ()))}
    assert not any(path.rpartition("/")[2] in layers for _, path in registry.seen), "no layer is fetched"


def test_of_an_image_in_the_registry_no_advisory_is_known(site: Site, registry: FakeUploads, tmp_path: Path) -> None:
    place = folder(tmp_path / "osv", [entry("A-1", affected("PyPI", "a", {"introduced": "0"}))])
    databases = open_databases([str(place)], site.project().store, Client(environ={}))
    name = f"{registry.host}/notebooks/lab:2026.11"
    found = diff(site.project(), name, question=Question(databases=databases, today=date(2026, 11, 22))).advice
    assert found is not None and found.rows == ()
    assert found.unknown == tuple(f"{name} → {one}" for one in both("lab"))
    known = diff(site.project(), "v1", question=Question(databases=databases, today=date(2026, 11, 22))).advice
    assert known is not None and known.unknown == ()


def test_an_image_that_is_what_is_built(site: Site, registry: FakeUploads) -> None:
    """By whatever name; a revision too may be the other side, and so may another image."""
    image = f"{registry.host}/notebooks/lab:2026.11"
    digest = json.loads(registry.manifests["notebooks/lab", "2026.11"])["manifests"][0]["digest"]
    by_digest = f"{registry.host}/notebooks/lab@{digest}"
    assert len(of(site, image, "v1:lab").same) == 2
    assert of(site, by_digest, "v1:lab").same == (f"{by_digest}, linux/amd64 → {both('lab')[0]}",)
    assert len(of(site, image, f"oci:{image}").same) == 2
    assert of(site, "v1:lab", image).push == Push(size=0, exact=True)
    assert len(of(site, image, "v1").same) == len(of(site, "v1", image).same) == 2
    assert names(of(site, image, ".")) == names(of(site, image))


def test_an_image_of_a_folder_in_the_oci_layout(site: Site) -> None:
    found = of(site, "oci:../layout:1.0", "root")
    assert len(found.same) + len(found.differences) == 2
    assert found.push == Push(size=0, exact=True)


def test_an_image_that_lies(site: Site, registry: FakeUploads) -> None:
    def other(request: Request) -> bool:
        request.reply(200, {"Docker-Content-Digest": "sha256:" + "0" * 64}, b'{"schemaVersion": 2}')
        return True

    registry.breaks("GET", "/v2/notebooks/lab/manifests/lies", other)
    with pytest.raises(HostileInput, match="wrong digest"):
        of(site, f"{registry.host}/notebooks/lab:lies", "lab")


def test_words_that_mean_nothing(site: Site, registry: FakeUploads) -> None:
    with pytest.raises(StackbuildError, match="nothing of that name: nonsense") as caught:
        of(site, "nonsense")
    assert "a git revision" in caught.value.expected
    with pytest.raises(StackbuildError, match="no such target: nonsense"):
        of(site, "HEAD:nonsense")
    with pytest.raises(StackbuildError, match="no such image"):
        of(site, f"{registry.host}/notebooks/lab:none")
    with pytest.raises(StackbuildError, match="no target is published as"):
        of(site, f"{registry.host}/notebooks/other:1")
    with pytest.raises(StackbuildError, match="not a reference of an image"):
        of(site, f"{registry.host}/notebooks/lab")


def test_variants_that_an_image_does_not_tell_apart(site: Site, registry: FakeUploads) -> None:
    """An image of a registry has no variant, so one must be named."""
    path = site.folder / "stacks.toml"
    text = path.read_text()
    image = f"{registry.host}/notebooks/lab:2026.11"
    path.write_text(text.replace("[images.lab]", '[variants.gpu]\n[images.lab]\nvariants = ["cpu", "gpu"]'))
    try:
        with pytest.raises(StackbuildError, match="nothing to compare"):
            of(site, image, "lab")
        assert len(of(site, image, "lab:cpu").differences) == len(of(site, image).differences) == 2
    finally:
        path.write_text(text)


def test_a_branch_of_the_name_of_an_image_is_the_image(site: Site) -> None:
    git(site.folder, "branch", "lab", "v1")
    try:
        assert names(of(site, "lab")) == []
        assert names(of(site, "refs/heads/lab")) == [*both("lab"), *both("full")]
    finally:
        git(site.folder, "branch", "-D", "lab")


def test_packages_of_the_locks(tmp_path: Path) -> None:
    """This repository's own catalogue, whose locks two hands have changed: a wheel of a child, a deb of the root."""
    root = Path(__file__).parent.parent.parent
    folder = tmp_path / "catalogue"
    folder.mkdir()
    shutil.copy(root / "stacks.toml", folder)
    for name in ("locks", "overlays"):
        shutil.copytree(root / name, folder / name)
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "one")
    numpy = _edit(folder / "locks/jupyter-scipy/linux-amd64.pip.txt", r"(numpy==)(\S+)( .*\n.*sha256:)(..)", "9.9.9")
    curl = _edit(
        folder / "locks/base/linux-amd64.apt.lock", r"(Package: curl\nVersion: )(.*)((?:\n.*)*?\nSHA256: )(..)", "99"
    )
    project = Project(
        manifest=manifest_of(folder / "stacks.toml"),
        locks=Locks(folder / "locks"),
        store=Store.open(tmp_path / "store"),
    )
    scipy, base = "jupyter-scipy:cpu@linux/amd64", "base:cpu@linux/amd64"
    (found,) = diff(project, scipy).differences
    rows = [
        (one.package.kind, one.package.name, one.package.image, one.a and one.a.version, one.b and one.b.version)
        for one in found.packages or ()
    ]
    assert rows == [("apt", "curl", "base", curl, "99"), ("pip", "numpy", "jupyter-scipy", numpy, "9.9.9")]
    assert found.download == sum(one.package.size for one in found.packages or ())
    assert {"pip/numpy", "apt/rest"} <= {layer.name for layer in found.new or ()}
    assert found.push is not None and not found.push.exact and found.push.size > found.download
    whole = diff(project)
    assert len(whole.differences) + len(whole.same) == len(ready(project.manifest, project.locks))
    assert {base, scipy} <= set(names(whole)) and "base:cpu@linux/arm64" in whole.same
    told = renderer("diff", "text")(whole)
    assert told.count("apt  curl  ") == told.count("pip  numpy  ") == 1, "children refer to what was told"


def _edit(path: Path, pattern: str, version: str) -> str:
    """Give the pin that a pattern finds another version and another digest; its version until now."""
    found = re.search(pattern, path.read_text())
    assert found
    other = "00" if found[4] != "00" else "01"
    text = path.read_text()
    text = text[: found.start()] + found[1] + version + found[3] + other + text[found.end() :]
    path.write_text(text.replace(f"{found[2]}-", f"{version}-") if "numpy" in pattern else text)
    return found[2]


def run(site: Site, *words: str) -> Result:
    return CliRunner().invoke(
        cli, ["-C", str(site.folder), "diff", *words], env={"STACKBUILD_STORE": str(site.store.path)}
    )


def test_the_command(site: Site) -> None:
    done = run(site, "v1", ".", "--format", "markdown")
    assert done.exit_code == 0 and done.output == renderer("diff", "markdown")(of(site, "v1", "."))
    assert json.loads(run(site, "v1", "--format", "json").output)["targets"][0]["a"] == both("lab")[0]
    assert run(site, "v1", "--json").output == run(site, "v1", "--format", "json").output
    assert run(site, "v1").output == renderer("diff", "text")(of(site, "v1"))
    assert (run(site, "v1", "--exit-code").exit_code, run(site, "--exit-code").exit_code) == (1, 0)


def test_without_git(tmp_path: Path, registry: FakeUploads) -> None:
    """Targets can be compared with each other, and a missing revision is told in words."""
    found = Site(tmp_path, registry.host)
    found.build("@linux/amd64")
    assert len(of(found, "lab@linux/amd64", "full@linux/amd64").differences) == 1
    with pytest.raises(StackbuildError, match="no commit to compare with"):
        of(found)


def test_since_and_markdown_are_short_for_others(site: Site) -> None:
    said = run(site, "--since", "v1", "--markdown")
    assert said.exit_code == 0 and said.stdout == run(site, "v1", "--format", "markdown").stdout
    assert said.stdout.startswith("### `v1 (")
    assert run(site, "v1", "--since", "v1").exit_code == 2
