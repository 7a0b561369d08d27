"""A store that is too large: what is easiest to have again goes first, then what was used least recently."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from builder import evicting, unpacked
from builder.digest import Digest
from builder.errors import StackbuildError
from builder.inspecting import inspect
from builder.marking import Marks
from builder.store import Store
from builder.sweeping import Ages, rooms
from builder.workflow import build, gc
from builder.workflow.gc import Collected, Wish
from builder.workflow.roots import Patience
from tests.image_family import Site
from tests.tools import need_root

_ALL = Ages(young=-1, caches=-1)


def size(store: Store) -> int:
    return evicting.size(rooms(store, Marks(), _ALL))


def limited(store: Store, limit: int, *, dry_run: bool = False) -> Collected:
    patience = Patience(now=datetime.now(UTC))
    return gc.collect(store, None, Wish(patience=patience, limit=limit, dry_run=dry_run))


def freed(found: Collected) -> set[str]:
    return {one.room for one in found.rooms if one.freed}


def stale(site: Site) -> list[str]:
    project = site.project()
    targets = tuple(project.manifest.targets())
    return [action.name for action in build.stale(project, build.plan(project, targets), targets)]


def layer(site: Site) -> Path:
    """The overlay's layer of `full` as the project now is."""
    project = site.project()
    targets = tuple(one for one in project.manifest.targets() if one.image == "full")
    found = build.result(project, build.plan(project, targets), targets[0])
    return site.store.blob(Digest(found["layers"][-1]["digest"]))


def releases(site: Site, *texts: str) -> list[Path]:
    """Layers of releases, which plain `gc` keeps; the last one is what is built."""
    found = []
    for text in texts:
        site.overlay("full", text * 5000)
        site.build()
        site.push("full", templates=["{key}"])
        found.append(layer(site))
    return found


def test_one_that_is_small_enough_loses_nothing(site: Site) -> None:
    releases(site, "1", "2")
    before = size(site.store)
    assert freed(limited(site.store, before)) == set()
    assert size(site.store) == before


def test_caches_go_first(site: Site) -> None:
    releases(site, "1", "2")
    before = size(site.store)
    for name in ("metadata/conda-x", "roots/interpreter-x/file", "uv/cache/file"):
        (site.store.path / name).parent.mkdir(parents=True, exist_ok=True)
        (site.store.path / name).write_bytes(bytes(10000))
    found = limited(site.store, before)
    assert freed(found) <= {"metadata", "roots", "tools", "logs"}
    assert not (site.store.path / "uv").exists()
    assert size(site.store) <= before


def test_what_was_used_least_recently_goes_next(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of three releases beside the last build, the first was built again since."""
    clock: dict[Path, float] = {}

    def times(path: Path) -> float:
        return clock.get(path, 0.0)

    first, second, third, last = releases(site, "1", "2", "3", "4")
    actions = {path: path.stat().st_mtime_ns for path in (site.store.path / "actions").iterdir()}
    site.overlay("full", "1" * 5000)
    site.build("full")
    touched = [path for path, time in actions.items() if path.stat().st_mtime_ns != time]
    assert 2 <= len(touched) <= 4, "the images that were found, and nothing below them"
    site.overlay("full", "4" * 5000)
    site.build("full")
    for number, path in enumerate(sorted(actions, key=lambda path: path.stat().st_mtime_ns)):
        clock[path] = float(number)
    monkeypatch.setattr("builder.evicting.time_of", times)
    layers, went = {1: first, 2: second, 3: third, 4: last}, list[int]()
    for limit in range(size(site.store), 0, -400):
        limited(site.store, limit)
        went += [number for number, path in layers.items() if not path.exists() and number not in went]
        assert inspect(site.store, 1).findings == ()
    assert went == [2, 3, 1]
    assert stale(site) == []


def test_what_was_built_last_is_never_evicted(site: Site) -> None:
    releases(site, "1", "2")
    found = limited(site.store, 1)
    assert found.kept_bytes > 1
    assert stale(site) == []
    assert inspect(site.store, 1).findings == ()
    assert {"full", "full-linux-amd64", "lab", "root"} <= site.store.images.tags().keys()
    before = site.store.images.tags()
    site.overlay("full", "another")
    site.build()
    site.overlay("full", "2" * 5000)
    site.build()
    assert site.store.images.tags() == before


def test_dry_run_says_the_same(site: Site) -> None:
    releases(site, "1", "2", "3")
    for limit in (1, size(site.store) // 2, size(site.store) - 1):
        would = limited(site.store, limit, dry_run=True)
        copy = Store(site.store.path.with_name(f"copy-{limit}"))
        shutil.copytree(site.store.path, copy.path, symlinks=True)
        assert {one.room: one.freed for one in limited(copy, limit).rooms}.keys() >= freed(would)


def test_nothing_names_what_went_whatever_the_limit(site: Site) -> None:
    releases(site, "1", "2", "3")
    site.folder.rename(site.folder.with_name("gone"))  # Now nothing is what a project built last.
    whole = size(site.store)
    for part in range(10):
        copy = Store(site.store.path.with_name(f"copy-{part}"))
        shutil.copytree(site.store.path, copy.path, symlinks=True)
        found = limited(copy, whole * part // 10)
        assert found.kept_bytes <= whole * part // 10 or not found.kept_bytes - sum(
            one.kept_bytes for one in found.rooms if one.room in {"released", "took"}
        )
        assert inspect(copy, 1).findings == ()


def test_a_worker_s_store_which_no_project_knows(site: Site) -> None:
    site.build()
    shutil.rmtree(site.store.path / "projects")
    with pytest.raises(StackbuildError, match="no project is known"):
        gc.collect(site.store, None, Wish(patience=Patience(now=datetime.now(UTC))))
    before = size(site.store)
    assert not gc.exceeds(site.store, before) and gc.exceeds(site.store, before - 1)
    with site.store.leased():
        assert gc.shrink(site.store, before // 2) is None, "in use"
    assert size(site.store) == before
    assert gc.shrink(site.store, before // 2) is not None
    assert size(site.store) <= before // 2
    assert inspect(site.store, 1).findings == ()


def test_a_tag_goes_with_its_image(site: Site) -> None:
    """One that no project builds any more."""
    releases(site, "1")
    index = site.store.path / "images/index.json"
    rows = json.loads(index.read_bytes())
    (old,) = (one for one in rows["manifests"] if one["annotations"]["org.opencontainers.image.ref.name"] == "full")
    releases(site, "2")
    site.store.images.tag("old", old)
    assert "old" in site.store.images.tags()
    limited(site.store, 1)
    assert "old" not in site.store.images.tags()
    assert inspect(site.store, 1).findings == ()


def test_unpacked_layer_that_is_used_is_not_the_oldest(site: Site) -> None:
    """It is a part of an image, so its own times stay; when it was used shows its ctime, which nobody can set."""
    need_root()
    site.build()
    project = site.project()
    targets = tuple(one for one in project.manifest.targets() if one.image == "full")
    results = [build.result(project, build.plan(project, targets), targets[0])["layers"][-1]]
    (folder,) = unpacked.layers(site.store, results)
    before = folder.stat()
    while folder.stat().st_ctime_ns == before.st_ctime_ns:  # A clock's tick may lie between.
        assert unpacked.layers(site.store, results) == (folder,)
    assert folder.stat().st_mtime_ns == before.st_mtime_ns
    with unpacked.held([folder]):
        limited(site.store, 1)
        assert folder.exists(), "a container stands on it"
    limited(site.store, 1)
    assert not folder.exists()
