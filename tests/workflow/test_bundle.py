"""A family goes into one file, and comes out of it elsewhere: the same images, with nothing asked of anybody."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from builder.digest import Digest
from builder.errors import HostileInput, StackbuildError, Unreachable
from builder.locks import Locks
from builder.manifest.model import Target
from builder.manifest.read import read
from builder.offline import VARIABLE
from builder.platforms import NATIVE
from builder.program import Wheel
from builder.store import Store
from builder.workflow import build, bundle, lock
from builder.workflow.build import _Silent
from builder.workflow.fresh import Built
from builder.workflow.lock import Wish
from builder.workflow.project import Project
from tests.image_family import Site
from tests.image_signatures import beside, document, pair, row

LAB = Target("lab", "cpu", NATIVE)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    found = Site(tmp_path, "registry.example.com")
    found.build(f"lab@{NATIVE}")
    return found


def made(site: Site, *targets: Target, wheels: tuple[Wheel, ...] = (), results: bool = False) -> bundle.Bundle:
    project = site.project()
    planned = build.plan(project, targets)
    return bundle.bundle(project, planned, targets, wheels, results=results)


def unpacked(one: bundle.Bundle, folder: Path) -> Project:
    """The project in an unpacked bundle, with the store beside it."""
    folder.mkdir()
    bundle.write(one, folder / "bundle.tar")
    subprocess.run(["tar", "xf", "bundle.tar"], cwd=folder, check=True)
    root = folder / "family-bundle"
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=root, check=True)
    manifest = read(root / "project/stacks.toml")
    return Project(manifest=manifest, locks=Locks(root / "project/locks"), store=Store.open(root / "store"))


def built(project: Project, *targets: Target) -> tuple[Built, dict[Target, Any]]:
    planned = build.plan(project, targets)
    found = build.build(project, targets, jobs=2, watcher=_Silent(), planned=planned)
    for target in targets:
        build.complete(project, planned, target)
    return found, {target: build.result(project, planned, target)["manifest"] for target in targets}


def test_what_is_built_elsewhere_is_the_same(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The base's layout lies beside the project, so it is not there any more."""
    _, online = built(site.project(), LAB)
    one = made(site, LAB)
    monkeypatch.setenv(VARIABLE, "1")
    os.rename(tmp_path / "layout", tmp_path / "gone")
    away = unpacked(one, tmp_path / "away")
    assert not lock.check(away, list(away.manifest.targets()))
    found, offline = built(away, LAB)
    assert found.fresh == (LAB,)
    assert offline == online


def test_two_bundles_of_the_same_locks_are_the_same(site: Site, tmp_path: Path) -> None:
    first = bundle.write(made(site, LAB), tmp_path / "first")
    overlay = site.folder / "overlays/lab/opt/lab"
    os.utime(overlay, (1, 1))
    overlay.chmod(0o664)
    site.build()
    assert bundle.write(made(site, LAB), tmp_path / "second") == first
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()
    assert Digest.of_file(tmp_path / "first") == first
    assert (tmp_path / "first").stat().st_size == made(site, LAB).size
    site.overlay("lab", "other")
    assert bundle.write(made(site, LAB), tmp_path / "third") != first


def test_results_are_taken_along(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "1")
    _, online = built(site.project(), LAB)
    away = unpacked(made(site, LAB, results=True), tmp_path / "away")
    found, offline = built(away, LAB)
    assert found.kept == (LAB,)
    assert offline == online
    assert not [one.name for one in made(site, LAB).members if one.name.startswith(("store/actions", "store/images"))]


def test_what_a_project_names_goes_along(site: Site) -> None:
    """Keyrings, keys, folders of channels and of images; links as they are; nothing of anybody's git or Python."""
    asked = 'from = "oci:./images/layout:1.0"\nrequire-signature = ["keys/base.pub"]'
    text = (site.folder / "stacks.toml").read_text().replace('from = "oci:../layout:1.0"', asked)
    text += '\n[archives.team]\nsuites = ["stable"]\nkeyring = "keys/team.gpg"\n[channels]\nours = "./channel"\n'
    (site.folder / "stacks.toml").write_text(text)
    names = ["keys/team.gpg", "channel/noarch/repodata.json", "scripts/step"]
    for name in (*names, "scripts/__pycache__/step.pyc", "overlays/lab/__pycache__/x.pyc", ".git/config", "notes"):
        (site.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (site.folder / name).write_text("x")
    (site.folder / "overlays/lab/link").symlink_to("/usr/lib")
    (site.folder / "overlays/lab/program").write_text("x")
    (site.folder / "overlays/lab/program").chmod(0o755)
    layout = site.folder / "images/layout"
    shutil.copytree(site.folder.parent / "layout", layout)
    key, _ = pair(site.folder / "keys", "base")
    index = json.loads((layout / "index.json").read_bytes())["manifests"][0]["digest"]
    beside(layout, index, row(layout, key, document(index)))
    lock.lock(site.project(), list(site.project().manifest.targets()), Wish(), lambda _: None)
    found = {member.name.removeprefix("project/"): member for member in made(site, LAB).members}
    assert {
        *names,
        "images/layout/index.json",
        "keys/base.pub",
        "overlays/lab/__pycache__/x.pyc",
        "overlays/full/opt/full",
    } <= found.keys()
    assert not {"scripts/__pycache__/step.pyc", ".git/config", "notes", "keys/base.key"} & found.keys()
    assert found["overlays/lab/link"].target == "/usr/lib"
    assert found["overlays/lab/program"].program and not found["overlays/lab/opt/lab"].program


def test_folders_that_are_links_go_along(site: Site, tmp_path: Path) -> None:
    """A build follows them, so what is below them must be there; a bundle had none of it."""
    shutil.move(site.folder / "locks/root", site.folder / "common")
    (site.folder / "locks/root").symlink_to("../common")
    names = {member.name for member in made(site, LAB).members}
    below = {path.name for path in (site.folder / "common").iterdir()}
    assert below and {f"project/locks/root/{name}" for name in below} <= names
    (site.folder / "locks/elsewhere").symlink_to(tmp_path)
    with pytest.raises(StackbuildError, match="a link to a folder that cannot go along"):
        made(site, LAB)


def test_everything_that_is_missing_is_told_at_once(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = made(site, LAB)
    os.rename(tmp_path / "layout", tmp_path / "gone")
    monkeypatch.setenv(VARIABLE, "1")
    away = unpacked(one, tmp_path / "away")
    (source,) = bundle.pins(build.plan(away, [LAB]), [LAB])
    away.store.source(source.digest).unlink()
    with pytest.raises(Unreachable, match="offline, and a file is not in the store") as caught:
        built(away, LAB)
    assert "oci ../layout layer 1" in caught.value.where
    assert f"layer 1 of root:cpu@{NATIVE}" in caught.value.where
    assert f"stackbuild bundle {LAB} --output FILE" in caught.value.next_step


def test_a_file_of_this_machine_is_no_network(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A layout, a mirror on a disk that was carried in: `file:` URLs are read offline too."""
    monkeypatch.setenv(VARIABLE, "1")
    project = site.project()
    (source,) = bundle.pins(build.plan(project, [LAB]), [LAB])
    project.store.source(source.digest).unlink()
    bundle.fetch(project, [source])
    assert project.store.source(source.digest).exists()


def test_a_changed_byte_is_refused(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "1")
    away = unpacked(made(site, LAB), tmp_path / "away")
    (source,) = bundle.pins(build.plan(away, [LAB]), [LAB])
    path = away.store.source(source.digest)
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    with pytest.raises(StackbuildError, match="a file in the store has changed") as caught:
        built(away, LAB)
    assert source.digest.hex in str(caught.value)


def test_what_is_damaged_is_not_bundled(site: Site, tmp_path: Path) -> None:
    """Nor is anything left of the attempt."""
    one = made(site, LAB)
    (source,) = bundle.pins(build.plan(site.project(), [LAB]), [LAB])
    path = site.store.source(source.digest)
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    folder = tmp_path / "out"
    folder.mkdir()
    with pytest.raises(HostileInput, match=source.digest.hex):
        bundle.write(one, folder / "file")
    path.unlink()
    with pytest.raises(StackbuildError, match="cannot write the bundle"):
        bundle.write(one, folder / "file")
    assert not list(folder.iterdir())


def test_another_file_is_not_overwritten(site: Site, tmp_path: Path) -> None:
    one, path = made(site, LAB), tmp_path / "file"
    digest = bundle.write(one, path)
    before = path.stat().st_mtime_ns, path.stat().st_ino
    assert bundle.write(one, path) == digest
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == before
    whole = path.read_bytes()
    for other in (whole + b"x", whole[:-1], b"", b"something else"):
        path.write_bytes(other)
        with pytest.raises(StackbuildError, match="there is another file"):
            bundle.write(one, path)
        assert path.read_bytes() == other
    with pytest.raises(StackbuildError, match="cannot write the bundle"):
        bundle.write(one, tmp_path / "no/folder/file")


def test_a_pipe_is_written_to(site: Site, tmp_path: Path) -> None:
    one, path = made(site, LAB), tmp_path / "pipe"
    os.mkfifo(path)
    with subprocess.Popen(["sha256sum", str(path)], stdout=subprocess.PIPE, text=True) as reader:
        digest = bundle.write(one, path)
        assert reader.stdout is not None
        assert reader.stdout.read().split()[0] == digest.hex


def test_wheels_of_the_program_lie_by_their_names(site: Site, tmp_path: Path) -> None:
    data = b"no wheel, and nobody looks"
    with site.store.new_source() as incoming:
        incoming.write(data)
        incoming.commit(Digest.of(data))
    unpacked(made(site, LAB, wheels=(Wheel("a-1-py3-none-any.whl", Digest.of(data), len(data)),)), tmp_path / "away")
    top = tmp_path / "away/family-bundle"
    assert (top / "wheels/a-1-py3-none-any.whl").read_bytes() == data
    assert "@" not in (top / "README").read_text().replace(str(LAB), "")
    assert (top / "stackbuild").stat().st_mode & 0o111 == 0o111
    subprocess.run(["sh", "-n", str(top / "stackbuild")], check=True)


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [
        (["lab"], [f"lab:cpu@{NATIVE}"]),
        (["lab@linux/amd64", "lab@linux/arm64"], ["lab:cpu@linux/amd64", "lab:cpu@linux/arm64"]),
    ],
)
def test_other_platforms_are_named(site: Site, wanted: list[str], chosen: list[str]) -> None:
    targets = [target for target in site.project().manifest.targets() if target.image == "lab"]
    assert [str(target) for target in bundle.choose(targets, wanted)[0]] == chosen
