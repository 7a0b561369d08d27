"""A family's store is collected: what its locks, tags and releases need stays, the rest goes, builds lose nothing."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from builder.digest import Digest
from builder.errors import StackbuildError
from builder.plan import files_of
from builder.store import Store
from builder.workflow import build, gc, projects, releases
from builder.workflow.gc import Collected, Wish
from builder.workflow.roots import Patience
from tests.image_family import Site

ROOT = Path(__file__).parents[2]


def collect(store: Store, *, after: float = 2, here: Path | None = None, **patience: Any) -> Collected:
    """Collect garbage so many days from now; `dry_run` is the wish's, the rest the patience's."""
    dry_run = patience.pop("dry_run", False)
    now = datetime.now(UTC) + timedelta(days=after)
    return gc.collect(store, here, Wish(patience=Patience(now=now, **patience), dry_run=dry_run))


def freed(found: Collected) -> dict[str, int]:
    return {one.room: one.freed for one in found.rooms if one.freed}


def everything(store: Store) -> set[Path]:
    return {path.relative_to(store.path) for path in store.path.rglob("*") if path.parent.name != "tmp"}


def stale(site: Site) -> list[str]:
    project = site.project()
    targets = tuple(project.manifest.targets())
    return [action.name for action in build.stale(project, build.plan(project, targets), targets)]


def whole(store: Store) -> None:
    """Whatever has a name is there, with the bytes that its digest says."""
    for digest in store.images.tags().values():
        manifest = json.loads(store.checked(store.blob(Digest(digest))).read_bytes())
        for one in manifest.get("manifests", [{"digest": digest}]):
            inner = json.loads(store.checked(store.blob(Digest(one["digest"]))).read_bytes())
            store.checked(store.blob(Digest(inner["config"]["digest"])))
    for path in (store.path / "actions").iterdir():
        entry = store.action(Digest(f"sha256:{path.stem}"))
        assert entry is not None
        for named, blob in files_of(entry["result"]):
            store.checked(store.blob(named) if blob else store.source(named))


def test_current_locks_keep_everything(site: Site) -> None:
    site.build()
    before = everything(site.store)
    assert freed(collect(site.store)) == {}
    assert everything(site.store) == before
    assert stale(site) == []


def test_what_was_replaced_goes_and_is_counted(site: Site) -> None:
    site.build()
    kept = everything(site.store)
    old = {path: path.stat().st_size for path in (site.store.path / "images/blobs/sha256").iterdir()}
    site.overlay("full", "another text")
    site.build()
    new = everything(site.store) - kept
    would, gone = collect(site.store, dry_run=True), collect(site.store)
    assert would == gone
    left = everything(site.store)
    assert new <= left
    # Both platforms of full: the layer, the same on both; configs, manifests, and the index over them. An image is
    # found under two keys, a layer that needs nothing under one; how long it took stands under the first.
    assert freed(gone) == {"actions": 5, "took": 3, "sources": 1, "images": 6}
    row = next(one for one in gone.rooms if one.room == "images")
    assert row.freed_bytes == sum(size for path, size in old.items() if not path.exists())
    assert stale(site) == []
    whole(site.store)
    assert freed(collect(site.store)) == {}


def test_dry_run_changes_nothing_even_beside_a_build(site: Site) -> None:
    site.build()
    site.overlay("full", "another text")
    site.build()
    before = everything(site.store)
    with site.store.leased():
        assert freed(collect(site.store, dry_run=True))
        with pytest.raises(StackbuildError, match="the store is in use"):
            collect(site.store)
    assert everything(site.store) == before


def test_young_things_are_not_judged(site: Site) -> None:
    site.build()
    site.overlay("full", "another text")
    site.build()
    assert freed(collect(site.store, after=0.9)) == {}
    assert freed(collect(site.store, after=1.1))


def test_what_was_built_last_stays_until_there_is_something_else(site: Site) -> None:
    """Locks have moved and nothing was built: `explain` compares, and going back costs nothing."""
    site.build()
    site.overlay("full", "another text")
    assert stale(site)
    assert freed(collect(site.store)) == {}
    site.overlay("full", "full")
    assert stale(site) == []


def test_releases_keep_their_images_for_their_time(site: Site) -> None:
    site.build()
    site.push("full")
    site.overlay("full", "another text")
    site.build()
    manifest = site.folder / "stacks.toml"
    manifest.write_text(manifest.read_text() + "\n[retention]\nreleases = 0\ndays = 3\n")
    assert "images" not in freed(collect(site.store))
    site.overlay("full", "full")
    assert stale(site) == [], "going back to a release is building nothing"
    site.overlay("full", "another text")
    gone = freed(collect(site.store, after=4))
    assert gone["images"] == 6
    assert len(releases.recorded(site.project())) == 1, "it is still on record"


def test_newest_releases_stay_whatever_their_age(site: Site) -> None:
    digests = []
    for text in ("full", "2", "3", "4"):
        site.overlay("full", text)
        site.build()
        (one,), _ = site.push("full", templates=["{key}"])
        digests.append(one.digest)
    manifest = site.folder / "stacks.toml"
    manifest.write_text(manifest.read_text() + "\n[retention]\nreleases = 2\n")
    collect(site.store, after=99)
    assert [site.store.blob(one).exists() for one in digests] == [False, False, True, True]


def test_a_tag_that_moved_keeps_what_it_named_before() -> None:
    def row(number: int, *tags: str) -> releases.Release:
        digest = Digest.of(b"%d" % number)
        time = f"2026-01-0{number}T00:00:00Z"
        return releases.Release(time=time, project="p", name="n", digest=digest, tags=tags, platforms={})

    rows = [row(1, "stable", "1"), row(2, "2"), row(3, "stable", "3"), row(4, "4"), row(5, "5")]
    kept = releases.retained(rows, 1, "2027")
    assert [one.tags[-1] for one in kept] == ["1", "3", "5"]
    assert [one.tags[-1] for one in releases.retained(rows, 0, "2026-01-04")] == ["1", "3", "4", "5"]


def test_tags_of_other_tools_stay(site: Site) -> None:
    """A manifest in the layout's index without a name, as some tools leave it."""
    site.build()
    store = site.store
    config = store.put_blob(b'{"x":1}')
    body = json.dumps({"config": {"digest": config}, "layers": []}).encode()
    index = json.loads((store.path / "images/index.json").read_bytes())
    index["manifests"] += [{"digest": store.put_blob(body)}, {"digest": "sha512:" + "0" * 128}]
    (store.path / "images/index.json").write_text(json.dumps(index))
    assert freed(collect(store)) == {}
    assert store.blob(config).exists()


def test_a_project_that_is_gone_keeps_what_it_built_for_its_time(site: Site) -> None:
    site.build()
    (site.store.path / "images/index.json").write_text('{"manifests": [], "schemaVersion": 2}')
    elsewhere = site.folder.with_name("elsewhere")
    site.folder.rename(elsewhere)
    assert collect(site.store).projects == ((site.folder / "stacks.toml", "gone"),)
    assert freed(collect(site.store, after=31)) == {}, "it is known to be gone since the second day"
    elsewhere.rename(site.folder)
    assert stale(site) == []
    assert collect(site.store, after=31).projects == ((site.folder / "stacks.toml", "current"),)
    site.folder.rename(elsewhere)
    collect(site.store, after=40)
    assert freed(collect(site.store, after=69)) == {}
    found = collect(site.store, after=71)
    assert found.projects == ((site.folder / "stacks.toml", "forgotten"),)
    assert freed(found).keys() >= {"actions", "sources", "images"}
    assert not any((site.store.path / "actions").iterdir())
    assert projects.known(site.store) == ()


def test_a_project_that_is_gone_is_forgotten_at_once_if_asked(site: Site) -> None:
    site.build()
    site.folder.rename(site.folder.with_name("elsewhere"))
    assert freed(collect(site.store, forget=True)).keys() == {"names", "actions", "took"}, "images that have a tag stay"
    assert projects.known(site.store) == ()


@pytest.mark.parametrize("damage", ["manifest", "lock", "no lock", "overlay", "vanishing"])
def test_a_project_that_cannot_be_planned_stops_it_unless_told(
    site: Site, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.build()
    before = everything(site.store)
    lock = next((site.folder / "locks/root").glob("*.toml"))
    if damage == "manifest":
        (site.folder / "stacks.toml").write_text("[")
    elif damage == "lock":
        lock.write_text("<<<<<<< ours")
    elif damage == "no lock":
        lock.unlink()
    elif damage == "vanishing":

        def vanish(path: Path) -> None:
            raise FileNotFoundError(2, "No such file or directory", str(path / "locks"))

        monkeypatch.setattr("builder.workflow.roots.read", vanish)
    else:
        shutil.rmtree(site.folder / "overlays/full")
    with pytest.raises(StackbuildError, match="cannot tell what a project still needs") as caught:
        collect(site.store, forget=True)
    assert "--as-built" in caught.value.next_step
    assert everything(site.store) == before
    found = collect(site.store, as_built=True)
    assert found.projects == ((site.folder / "stacks.toml", "as built"),)
    assert freed(found) == {}


def test_a_store_of_nobody_is_left_alone(site: Site) -> None:
    """One that was built into before projects left word."""
    site.build()
    shutil.rmtree(site.store.path / "projects")
    before = everything(site.store)
    for here in (None, site.folder / "stacks.toml"):
        with pytest.raises(StackbuildError, match="no project is known"):
            collect(site.store, here=here)
    assert everything(site.store) == before
    site.build()  # With nothing to do.
    assert freed(collect(site.store)) == {}


def test_every_project_of_a_store_counts(site: Site, tmp_path: Path) -> None:
    site.build()
    other = Site(tmp_path / "other", "127.0.0.1:1")
    other.store = site.store
    other.overlay("lab", "of another project")
    other.build()
    assert freed(collect(site.store)) == {"images": 2}, "two indexes, whose tags the other project took"
    assert stale(site) == stale(other) == []


def test_damaged_note_of_a_project(site: Site) -> None:
    site.build()
    (path,) = (site.store.path / "projects").iterdir()
    for damage in (b"", b"[]", b"{}", b'{"manifest": "/x", "name": "x", "built": {"a": "../x"}, "gone": ""}'):
        path.write_bytes(damage)
        with pytest.raises(StackbuildError, match="note of a project is damaged"):
            collect(site.store)
    site.build()
    assert freed(collect(site.store)) == {}, "a build writes it anew"


_COLLECTOR = """
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from builder.store import Store
from builder.workflow import gc
from builder.workflow.roots import Patience
print("ready", flush=True)
later = datetime.now(UTC) + timedelta(days=2)
gc.collect(Store(Path(sys.argv[1])), None, gc.Wish(patience=Patience(now=later), wait=60))
"""


def _python(program: str, *arguments: str) -> subprocess.Popen[bytes]:
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, "-c", program, *arguments], env=environ, stdout=subprocess.PIPE)


def test_kill_9_leaves_a_store_that_is_sound(site: Site) -> None:
    draw = random.Random(4)
    site.build()
    for number in range(6):
        site.overlay("lab", f"text {number}")
        site.build()
        with _python(_COLLECTOR, str(site.store.path)) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(draw.uniform(0.0, 0.12))
            process.send_signal(signal.SIGKILL)
        assert stale(site) == []
        whole(site.store)
    collect(site.store)
    site.store.sweep()
    assert {path.name for path in (site.store.path / "tmp").iterdir()} == set()
    assert freed(collect(site.store)) == {}


_BUILDER = """
import sys
from pathlib import Path
from builder.digest import Digest
from builder.store import Store
from builder.workflow import build
from tests.image_family import Site
if __name__ == "__main__":
    site = Site.__new__(Site)
    site.folder = Path(sys.argv[1])
    site.store = Store.open(Path(sys.argv[2]))
    for number in range(5):
        site.overlay("lab", f"{number % 2}")
        site.build()
        project = site.project()
        targets = tuple(project.manifest.targets())
        with project.store.leased():
            assert build.stale(project, build.plan(project, targets), targets) == (), "something went"
            for digest in project.store.images.tags().values():
                assert project.store.blob(Digest(digest)).exists()
"""
"""A build that goes back and forth finds its old results, which nothing needs meanwhile, or makes them again."""


def test_two_builds_and_a_collector_at_once(site: Site, tmp_path: Path) -> None:
    site.build()
    other = Site(tmp_path / "other", "127.0.0.1:1")
    program = tmp_path / "builds.py"
    program.write_text(_BUILDER)
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    builds = [
        subprocess.Popen([sys.executable, str(program), str(one.folder), str(site.store.path)], env=environ)
        for one in (site, other)
    ]
    rounds = 0
    while any(one.poll() is None for one in builds):
        now = datetime.now(UTC) + timedelta(days=2)
        try:
            gc.collect(site.store, None, Wish(patience=Patience(now=now), wait=0.2))
            rounds += 1
        except StackbuildError as error:
            assert "the store is in use" in error.what
    assert [one.wait() for one in builds] == [0, 0]
    collect(site.store)
    whole(site.store)
    assert stale(site) == []
    assert rounds > 0
