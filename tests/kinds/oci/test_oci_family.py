"""A family on a foreign image: locked from a registry, planned, built, without its layers where nothing reads them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from builder.digest import Digest
from builder.errors import StackbuildError
from builder.kinds.oci.lockfile import BaseLock
from builder.locks import Locks
from builder.manifest.model import Target
from builder.manifest.read import loads
from builder.store import Store
from builder.workflow import build, lock
from builder.workflow.build import _Silent
from builder.workflow.lock import Wish
from builder.workflow.project import Project
from tests.fake_image import Image, file, tagged
from tests.fake_registry import FakeRegistry
from tests.kinds.oci.conftest import base_image

ROOT = Target("root", "cpu", "linux/amd64")
CHILD = Target("child", "cpu", "linux/amd64")
MANIFEST = """
[project]
name = "foreign"
platforms = ["linux/amd64"]

[layouts.openshift]
user = "user"
uid = 1001
gid = 0
home = "/home/user"

[images.root]
from = "oci:BASE"

[images.child]
from = "root"
overlays = ["one"]
env = { MINE = "1" }
labels = { more = "yes" }
"""


class Site:
    """A project whose root is a foreign image."""

    def __init__(self, folder: Path, base: str, *, text: str = MANIFEST) -> None:
        self.folder = folder
        self.base = base
        self.text = text
        overlay = folder / "overlays/one/opt/conda/etc/hello"
        overlay.parent.mkdir(parents=True)
        overlay.write_text("hello\n")
        self.said: list[str] = []

    def project(self, store: str = "store") -> Project:
        path = self.folder / "stacks.toml"
        path.write_text(self.text.replace("BASE", self.base))
        manifest = loads(path.read_text(), path)
        return Project(manifest=manifest, locks=Locks(self.folder / "locks"), store=Store.open(self.folder / store))

    def lock(self, **wish: Any) -> tuple[lock.Change, ...]:
        project = self.project("lock-store")
        return lock.lock(project, tuple(project.manifest.targets()), Wish(**wish), self.said.append)

    def build(self, target: Target, store: str = "store") -> dict[str, Any]:
        project = self.project(store)
        planned = build.plan(project, (target,))
        build.build(project, (target,), jobs=2, watcher=_Silent(), planned=planned)
        return build.result(project, planned, target)


@pytest.fixture
def site(tmp_path: Path, registry: FakeRegistry) -> Site:
    return Site(tmp_path / "project", f"{registry.host}/team/base:1.0")


def config(project: Project, result: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(project.store.blob(Digest(result["config"])).read_bytes())
    return found


def about(project: Project) -> dict[str, str]:
    """What is said of the child beside its own labels."""
    lock = project.locks.read(project.manifest.lineage(CHILD)[0], "oci")
    assert isinstance(lock, BaseLock)
    said = {"title": "child", "base.name": lock.name, "base.digest": str(lock.index)}
    return {f"org.opencontainers.image.{name}": value for name, value in said.items()}


def test_a_child_is_built_without_a_layer_of_its_base(site: Site, registry: FakeRegistry) -> None:
    site.lock()
    registry.seen.clear()
    result = site.build(CHILD)
    assert registry.seen == []
    assert [layer.get("foreign", False) for layer in result["layers"]] == [True, True, True, False]
    project = site.project()
    found = config(project, result)
    assert found["config"] == {
        "Cmd": ["start.sh"],
        "Entrypoint": ["tini", "--"],
        "Env": ["CONDA_DIR=/opt/conda", "MINE=1", "PATH=/opt/conda/bin:/usr/bin"],
        "ExposedPorts": {"8888/tcp": {}},
        "Healthcheck": {"Interval": 5, "Test": ["CMD", "true"]},
        "Labels": {"maintainer": "somebody", "more": "yes", **about(project)},
        "User": "user",
        "WorkingDir": "/home/user",
    }
    assert [row["created_by"] for row in found["history"]] == [
        "ADD rootfs", "ENV A=B", "RUN conda", "RUN rm", "stackbuild: overlays",
    ]  # fmt: skip
    manifest = json.loads(project.store.blob(Digest(result["manifest"]["digest"])).read_bytes())
    blobs = site.project("lock-store").store
    for layer in manifest["layers"][:3]:
        assert layer["mediaType"] == "application/vnd.oci.image.layer.v1.tar+gzip"
        assert blobs.source(Digest(layer["digest"])).stat().st_size == layer["size"]
    assert len(found["rootfs"]["diff_ids"]) == 4
    assert site.build(CHILD) == result


def test_a_started_image_has_its_layers(site: Site, registry: FakeRegistry) -> None:
    site.lock()
    result = site.build(CHILD)
    registry.seen.clear()
    project = site.project()
    planned = build.plan(project, (CHILD,))
    build.complete(project, planned, CHILD)
    assert sorted(registry.blobs()) == sorted(layer["digest"] for layer in result["layers"][:3])
    assert all(project.store.blob(Digest(layer["digest"])).exists() for layer in result["layers"])
    build.complete(project, planned, CHILD)
    assert len(registry.blobs()) == 3


def test_a_moved_tag_moves_nothing_until_an_upgrade(site: Site, layout: Path, registry: FakeRegistry) -> None:
    site.lock()
    before = site.build(CHILD)
    tagged(layout, "1.0", Image([[file("other")]], platform="linux/amd64"))
    registry.seen.clear()
    assert site.lock() == ()
    assert registry.seen == []
    assert site.build(CHILD, "another") == before
    (base, holds) = site.lock(upgrade_all=True)
    assert (base.kind, holds.kind) == ("oci", "inherited")
    assert base.moved[0][0] == f"{registry.host}/team/base"
    assert len(site.build(CHILD)["layers"]) == 2


def test_one_name_can_be_upgraded(site: Site, layout: Path) -> None:
    site.lock()
    tagged(layout, "1.0", Image([[file("other")]], platform="linux/amd64"))
    assert site.lock(upgrade=frozenset({"numpy"})) == ()
    assert len(site.lock(upgrade=frozenset({"base"}))) == 2


def test_a_tag_that_left_its_digest_is_told(tmp_path: Path, layout: Path, registry: FakeRegistry) -> None:
    locked = tagged(layout, "1.0", base_image())
    site = Site(tmp_path / "project", f"{registry.host}/team/base:1.0@{locked}")
    site.lock()
    moved = tagged(layout, "1.0", Image([[file("other")]], platform="linux/amd64"))
    assert site.lock(upgrade_all=True) == ()
    assert site.said[1:] == [f"{registry.host}/team/base:1.0 is {moved} by now; stacks.toml has {locked}"]


def test_check_needs_no_image(site: Site, layout: Path, registry: FakeRegistry) -> None:
    project = site.project()
    targets = tuple(project.manifest.targets())
    assert [one.what.partition(":")[0] for one in lock.check(project, targets)] == ["lock is missing"] * 2
    site.lock()
    registry.close()
    shutil.rmtree(layout)
    assert lock.check(site.project(), targets) == []
    site.base = site.base.replace("1.0", "2.0")
    (stale,) = lock.check(site.project(), targets)
    assert stale.what == f"lock is stale: {ROOT}, oci"
    with pytest.raises(StackbuildError, match="lock is stale"):
        site.build(CHILD)


def test_a_locked_image_that_is_gone(site: Site, layout: Path, registry: FakeRegistry) -> None:
    site.lock()
    for path in (site.folder / "locks/root").glob("*.inherited.toml"):
        path.unlink()
    shutil.rmtree(site.folder / "lock-store")
    for blob in (layout / "blobs/sha256").iterdir():
        blob.unlink()
    with pytest.raises(StackbuildError, match="the locked image is gone") as caught:
        site.lock()
    assert "--refresh-missing" in str(caught.value)
    tagged(layout, "1.0", base_image(config={"User": "0"}))
    assert {one.kind for one in site.lock(refresh_missing=True)} == {"oci", "inherited"}


def test_a_local_layout_is_a_base_too(tmp_path: Path, layout: Path, registry: FakeRegistry) -> None:
    site = Site(tmp_path / "project", "../layout:1.0")
    site.lock()
    assert len(site.build(CHILD)["layers"]) == 4
    assert registry.seen == []
