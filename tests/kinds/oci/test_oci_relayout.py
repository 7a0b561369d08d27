"""A layout on a foreign image: its user's files are the layout's, once for all children; nobody else's move."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from builder import listing, unpacked
from builder.compression import codec
from builder.digest import Digest
from builder.kinds.oci import relayout
from builder.kinds.oci.archive import Layer
from builder.kinds.oci.inherited_file import InheritedLock
from builder.kinds.oci.lockfile import BaseLock
from builder.kinds.oci.relayout import Change
from builder.manifest.settings import Layout
from builder.store import Store
from builder.workflow import build
from tests.fake_image import file, tagged
from tests.fake_registry import FakeRegistry
from tests.kinds.oci.conftest import base_image
from tests.kinds.oci.test_oci_family import CHILD, MANIFEST, ROOT, Site

OPENSHIFT = Layout(name="openshift", user="user", uid=1001, gid=0, home="/home/user")
TEXT = MANIFEST.replace('from = "oci:BASE"', 'from = "oci:BASE"\nlayout = "openshift"')


@pytest.fixture
def site(tmp_path: Path, registry: FakeRegistry) -> Site:
    found = Site(tmp_path / "project", f"{registry.host}/team/base:1.0", text=TEXT)
    found.lock()
    return found


def entries(store: Store, layer: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {one.path: (one.mode, one.ids) for one in listing.read(store, layer)}


def test_the_users_files_become_the_layouts(site: Site, registry: FakeRegistry) -> None:
    result = site.build(CHILD)
    _system, conda, _gone, account, overlay = result["layers"]
    assert [layer.get("foreign", False) for layer in result["layers"]] == [True, False, True, False, False]
    store = site.project().store
    found = entries(store, conda)
    assert found["home/user"] == ("0770", "1001:0")
    assert found["home/user/.profile"] == ("0660", "1001:0")
    assert found["opt/conda"] == ("2775", "1001:0")
    assert found["etc/passwd"] == ("0644", "0:0")
    assert found["opt/venv/pyvenv.cfg"] == ("0644", "0:0")
    assert entries(store, account) == {
        "etc": ("0755", "0:0"),
        "etc/passwd": ("0644", "0:0"),
        "etc/group": ("0644", "0:0"),
    }
    assert entries(store, overlay)["opt/conda"] == ("2775", "1001:0")
    assert entries(store, overlay)["opt/conda/etc/hello"] == ("0644", "0:0")


def test_a_copy_for_all_children(site: Site, registry: FakeRegistry) -> None:
    first = site.build(ROOT)
    registry.seen.clear()
    assert site.build(CHILD)["layers"][:4] == first["layers"]
    assert registry.seen == []


def test_only_what_must_be_read_is_fetched(site: Site, registry: FakeRegistry) -> None:
    registry.seen.clear()
    site.build(ROOT)
    assert len(registry.blobs()) == 1


def test_the_copy_holds_the_same(site: Site, tmp_path: Path) -> None:
    conda = site.build(ROOT)["layers"][1]
    store = site.project().store
    lock, _ = held(site)
    original = Layer(site.project("lock-store").store.source(lock.layers[1].pin.digest), "original")
    before = [
        (one.kind, one.path, one.target, original.content(one).read() if one.kind == "file" else b"")
        for one in original
    ]
    copy = Layer(store.blob(Digest(conda["digest"])), "copy")
    after = [(one.kind, one.path, one.target, copy.content(one).read() if one.kind == "file" else b"") for one in copy]
    assert after == before
    assert copy.diff_id == conda["diff_id"]


def test_whiteouts_are_kept(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store")
    members = [file("a/.wh.b"), file("a/.wh..wh..opq"), file(".wh..wh..opq"), file("c", "x", ids=(7, 7))]
    layout = tmp_path / "layout"
    tagged(layout, "1", replace(base_image(), layers=[members]))
    blob = next(path for path in (layout / "blobs/sha256").iterdir() if path.read_bytes()[:2] == b"\x1f\x8b")
    store.blob(Digest(f"sha256:{blob.name}")).write_bytes(blob.read_bytes())
    layer = {"digest": f"sha256:{blob.name}", "name": "x"}
    found = relayout.rewrite(store, layer, Change(old=7, uid=8, gid=9), codec("gzip"))
    copy = Layer(store.blob(Digest(found["digest"])), "copy")
    assert [(one.kind, one.path, one.info.uid) for one in copy] == [
        ("whiteout", "a/b", 0), ("opaque", "a", 0), ("opaque", "", 0), ("file", "c", 8),
    ]  # fmt: skip


def held(site: Site) -> tuple[BaseLock, InheritedLock]:
    locks = site.project().locks
    lock, holds = locks.read(ROOT, "oci"), locks.read(ROOT, "inherited")
    assert isinstance(lock, BaseLock) and isinstance(holds, InheritedLock)
    return lock, holds


def test_whose_files_move(site: Site) -> None:
    lock, holds = held(site)
    assert relayout.user(lock, holds) == (1000, 100)
    assert relayout.change(lock, holds, OPENSHIFT) == Change(old=1000, uid=1001, gid=0)
    assert relayout.change(lock, holds, replace(OPENSHIFT, uid=1000, gid=100)) is None
    for name, ids in {
        "1000": (1000, 100),
        "1000:7": (1000, 7),
        "4711": (4711, 0),
        "": (0, 0),
        "nobody-knows": (0, 0),
    }.items():
        assert relayout.user(replace(lock, defaults={"User": name}), holds) == ids
    assert relayout.change(replace(lock, defaults={}), holds, OPENSHIFT) is None


def test_the_account(site: Site) -> None:
    _, holds = held(site)
    found = relayout.account(holds, replace(OPENSHIFT, user="jovyan", gid=7, groups=(100,), home="/srv/jovyan"))
    assert found == {
        "folders": {"etc": [0o755, 0, 0], "srv": [0o755, 0, 0]},
        "passwd": [
            "root:x:0:0:root:/root:/bin/bash",
            "user:x:1000:100::/home/user:/bin/bash",
            "jovyan:x:1001:7::/srv/jovyan:/bin/sh",
        ],
        "group": ["root:x:0:", "users:x:100:jovyan", "jovyan:x:7:"],
        "homes": ["/srv/jovyan"],
        "uid": 1001,
        "gid": 7,
    }
    same = replace(OPENSHIFT, uid=1000, gid=100)
    assert relayout.account(holds, same) is None
    other = relayout.account(holds, replace(same, user="another"))
    assert other is not None
    assert other["passwd"] == ["root:x:0:0:root:/root:/bin/bash", "another:x:1000:100::/home/user:/bin/sh"]


def test_unpacked_as_it_stands(site: Site, tmp_path: Path) -> None:
    """The sandbox's unpacker makes of the relaid layers what their lists say."""
    result = site.build(ROOT)
    project = site.project()
    build.complete(project, build.plan(project, (ROOT,)), ROOT)
    folders = unpacked.layers(project.store, result["layers"])
    assert (folders[1] / "home/user").stat().st_uid == 1001
    assert (folders[1] / "home/user/.profile").stat().st_mode & 0o7777 == 0o660
    hidden = folders[2] / "opt/conda/lib/python3.12/site-packages/old-1.0.dist-info"
    assert hidden.is_char_device() and hidden.stat().st_rdev == 0
