"""Whatever is damaged in a store is found, named and nothing else; repaired, the next build makes it anew."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from builder import keytable, unpacked
from builder.digest import Digest
from builder.errors import StackbuildError
from builder.inspecting import Finding
from builder.store import Store
from builder.workflow import build, fresh, store_check
from builder.workflow.store_check import Checked, Wish
from tests.image_family import Site
from tests.tools import need_root


def check(site: Site, **wish: bool) -> Checked:
    return store_check.check(site.store, Wish(jobs=2, **wish))


def flip(path: Path) -> None:
    """Another bit in the middle, under the name alone: the file may have others."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.unlink()
    path.write_bytes(data)


def _result(site: Site, image: str) -> dict[str, object]:
    project = site.project()
    targets = tuple(project.manifest.targets())
    target = next(one for one in targets if one.image == image)
    return build.result(project, build.plan(project, targets), target)


def layer(site: Site) -> Path:
    """The last layer of an image: an overlay."""
    return site.store.blob(Digest(_result(site, "full")["layers"][-1]["digest"]))  # type: ignore[index]


def manifest(site: Site) -> Path:
    return site.store.blob(Digest(_result(site, "full")["manifest"]["digest"]))  # type: ignore[index]


def entry_list(site: Site) -> Path:
    return site.store.source(Digest(_result(site, "full")["layers"][-1]["listing"]))  # type: ignore[index]


def image_action(site: Site) -> Path:
    return next(path for path in sorted((site.store.path / "actions").iterdir()) if b'"manifest"' in path.read_bytes())


def the_index(site: Site) -> Path:
    return site.store.path / "images/index.json"


def table(site: Site) -> Path:
    project = site.project()
    build.remember(project, build.plan(project, targets := tuple(project.manifest.targets())), targets)
    return next((site.store.path / "tables").iterdir())


def key_table(site: Site) -> Path:
    return site.store.write(f"keys/{'0' * 64}", keytable.dumps({}))


def of_room(room: str) -> Callable[[Site], Path]:
    return lambda site: min((site.store.path / room).iterdir())


def empty(path: Path) -> None:
    path.write_bytes(b"")


def other_action(path: Path) -> None:
    """Two files that changed their names."""
    other = max(path.parent.iterdir())
    assert other != path
    shutil.copy(other, path)


DAMAGES: dict[str, tuple[Callable[[Site], Path], Callable[[Path], object], str]] = {
    "flipped layer": (layer, flip, "damaged"),
    "lost layer": (layer, Path.unlink, "incomplete"),
    "flipped manifest": (manifest, flip, "damaged"),
    "flipped list": (entry_list, flip, "damaged"),
    "flipped action": (image_action, flip, "damaged"),
    "action of another key": (of_room("actions"), other_action, "damaged"),
    "emptied index": (the_index, empty, "damaged"),
    "emptied mark of the layout": (lambda site: site.store.path / "images/oci-layout", empty, "damaged"),
    "emptied table": (table, empty, "damaged"),
    "flipped table of keys": (key_table, flip, "damaged"),
    "emptied duration": (of_room("took"), empty, "damaged"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_found_and_made_anew(site: Site, damage: str) -> None:
    site.build()
    before = site.store.images.tags()
    where, harm, kind = DAMAGES[damage]
    path = where(site)
    assert check(site).looked.findings == ()
    harm(path)
    found = check(site)
    assert not found.sound
    kinds = {one.path: one.kind for one in found.looked.findings}
    name = path.relative_to(site.store.path).as_posix()
    assert kinds.get(name, "incomplete") == kind
    assert name in kinds or any(name in one.what for one in found.looked.findings)
    done = check(site, repair=True)
    assert (done.removed, done.sound) == (found.looked.findings, True)
    assert check(site).looked.findings == ()
    site.build()
    assert check(site).looked.findings == ()
    assert site.store.images.tags() == before
    assert list((site.store.path / "tmp").iterdir()) == []


def test_nothing_that_is_intact_goes(site: Site) -> None:
    site.build()
    kept = {path: path.read_bytes() for path in site.store.path.rglob("*") if path.is_file()}
    flip(layer(site))
    found = check(site, repair=True).looked.findings
    gone = {path for path in kept if not path.exists()}
    assert gone == {site.store.path / one.path for one in found if not one.tag}
    assert len(gone) < 12
    changed = {path for path, data in kept.items() if path.exists() and path.read_bytes() != data}
    assert changed == {the_index(site)}, "images that lack the layer have no tag any more"
    assert {tag.partition("-")[0] for tag in site.store.images.tags()} == {"lab", "root"}


def test_what_nobody_could_make_anew_stays(site: Site) -> None:
    """The record of releases, and the note of a project, without which `gc` would take what it needs."""
    site.build()
    site.push("full")
    record = site.store.path / "pushed.jsonl"
    record.write_text(record.read_text() + "{\n")
    (note,) = (site.store.path / "projects").iterdir()
    note.write_text("{")
    done = check(site, repair=True)
    assert not done.sound
    assert {one.path for one in done.looked.findings} == {"pushed.jsonl", f"projects/{note.name}"}
    assert all(one.remedy for one in done.looked.findings)
    assert record.exists() and note.exists()


def test_what_is_nobody_s_is_said_and_harms_nothing(site: Site) -> None:
    site.build()
    for name in ("notes.txt", "sources/sha256/file", "actions/x.json", "images/blobs/sha256/.nfs0000a1"):
        (site.store.path / name).write_text("mine")
    done = check(site, repair=True)
    assert done.sound
    assert [(one.kind, one.path) for one in done.looked.findings if one.kind == "unknown"] == [
        ("unknown", name) for name in ("actions/x.json", "notes.txt", "sources/sha256/file")
    ]
    assert (site.store.path / "notes.txt").exists()


def test_dry_run_changes_nothing(site: Site) -> None:
    site.build()
    flip(layer(site))
    would = check(site, repair=True, dry_run=True)
    assert (would.removed, would.sound) == (would.looked.findings, False)
    assert check(site).looked == would.looked


def test_it_looks_beside_builds_and_repairs_alone(site: Site) -> None:
    site.build()
    flip(layer(site))
    with site.store.leased():
        assert not check(site).sound
        assert check(site, repair=True, dry_run=True).removed
        with pytest.raises(StackbuildError, match="the store is in use"):
            check(site, repair=True)
    assert check(site, repair=True).sound


def test_what_was_made_anew_meanwhile_stays(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A build that came between looking and removing has healed it."""
    site.build()
    flip(path := layer(site))
    path.unlink()
    taken = Store.alone

    def late(store: Store, wait: float = 0) -> object:
        site.build()
        return taken(store, wait)

    monkeypatch.setattr(Store, "alone", late)
    done = check(site, repair=True)
    assert done.sound and path.exists()
    assert check(site).looked.findings == ()


def test_table_that_is_damaged_counts_as_none(site: Site) -> None:
    """One that is JSON, but not of this shape, was a traceback."""
    site.build()
    path = table(site)
    shapes: tuple[object, ...] = ([], {"x": 1}, {"full:cpu@linux/amd64": {}}, {"a/../b": {"key": "", "tags": {}}})
    for rows in shapes:
        path.write_text(json.dumps(rows))
        assert fresh.unchanged(site.folder / "stacks.toml", site.store, []) is None


@pytest.fixture
def root(site: Site) -> Iterator[Path]:
    """An unpacked layer."""
    need_root()
    site.build()
    (folder,) = unpacked.layers(site.store, [_result(site, "full")["layers"][-1]])  # type: ignore[index]
    assert (folder / "opt/full").read_text() == "full"
    yield folder


@pytest.mark.parametrize(
    ("harm", "what"),
    [
        (lambda root: (root / "opt/full").write_text("null"), "other bytes: /opt/full"),
        (lambda root: os.truncate(root / "opt/full", 0), "another size: /opt/full"),
        (lambda root: (root / "opt/full").chmod(0o600), "another mode or owner: /opt/full"),
        (lambda root: os.chown(root / "opt", 1, 1), "another mode or owner: /opt"),
        (lambda root: (root / "opt/full").unlink(), "missing: /opt/full"),
        (lambda root: (root / "opt/more").write_text("x"), "not in the layer: /opt/more"),
        (lambda root: shutil.rmtree(root / "opt"), "missing: /opt"),
    ],
)
def test_unpacked_layer_that_is_not_what_was_packed(
    site: Site, root: Path, harm: Callable[[Path], object], what: str
) -> None:
    assert check(site).looked.findings == ()
    harm(root)
    found = check(site, repair=True)
    assert found.looked.findings == (Finding(kind="damaged", path=f"roots/{root.name}", what=what),)
    assert not root.exists()
    with unpacked.held(unpacked.layers(site.store, [_result(site, "full")["layers"][-1]])):  # type: ignore[index]
        harm(root)
        assert not check(site, repair=True).sound, "a container stands on it"
        assert root.exists()
