"""What can be reached stays, what cannot goes, and a kill at any moment leaves a store that is sound."""

from __future__ import annotations

import json
import os
import time
from itertools import islice
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from builder import unpacked
from builder.digest import Digest
from builder.marking import Marks, Roots, mark, planned
from builder.store import Store
from builder.sweeping import Ages, Room, rooms, sweep
from tests.random_store import LATER, Drawn, World, contents, drawn, world_of


def judged(world: World, what: Drawn) -> tuple[Room, ...]:
    young = time.time() + LATER - 3600
    roots = Roots(images=frozenset(world.images[one] for one in what.tagged & world.images.keys()))
    roots |= planned(world.actions[one] for one in what.wanted)
    new = [world.actions[one].plan_key for one in what.new]
    return rooms(world.store, mark(world.store, roots, new), Ages(young=young, caches=young))


def swept(world: World, what: Drawn, steps: int | None = None) -> None:
    with world.store.workspace() as trash:
        for _ in islice(sweep(judged(world, what), lambda: trash), steps):
            pass


@given(drawn())
def test_reachable_stays_and_unreachable_goes(what: Drawn) -> None:
    with world_of(what) as world:
        swept(world, what)
        assert contents(world.store) == world.needed


@given(drawn(), st.integers(0, 30))
def test_stopped_at_any_step_no_name_means_nothing(what: Drawn, steps: int) -> None:
    with world_of(what) as world:
        swept(world, what, steps)
        left = contents(world.store)
        assert world.needed <= left
        assert all(named <= left for action, named in world.names.items() if action in left)
        swept(world, what)
        assert contents(world.store) == world.needed


OLD = Ages(young=time.time() + LATER, caches=time.time() + LATER)
NOTHING = Marks()


def names(found: tuple[Room, ...], room: str, *, kept: bool) -> list[str]:
    return [entry.path.name for one in found if one.name == room for entry in one.entries if entry.kept is kept]


def folder(store: Store, name: str) -> Path:
    path = store.path / name
    path.mkdir(parents=True)
    (path / "file").write_text("x")
    return path


def test_folders_that_are_held_stay(store: Store) -> None:
    used, idle = folder(store, "roots/layer-a"), folder(store, "roots/layer-b")
    with store.workspace() as trash:
        with unpacked.held([used]):
            for _ in sweep(rooms(store, NOTHING, OLD), lambda: trash):
                pass
            assert used.is_dir()
        assert not idle.exists()
        for _ in sweep(rooms(store, NOTHING, OLD), lambda: trash):
            pass
        assert not used.exists()
    assert list((store.path / "tmp").glob("stackbuild-*")) == []


def test_roots_of_layers_that_are_needed_stay_and_so_do_those_below_a_failed_step(store: Store) -> None:
    needed, below, other = (Digest.of(name) for name in (b"needed", b"below", b"other"))
    for one in (needed, below, other):
        folder(store, f"roots/layer-{one.hex}")
    failed = folder(store, "failed/abc")
    lowers = [str(store.path / f"roots/layer-{below.hex}")]
    (failed / "lowers.json").write_text(json.dumps(lowers))
    yesterday = Ages(young=OLD.young, caches=0)
    found = rooms(store, Marks(layers={needed}), yesterday)
    assert names(found, "roots", kept=True) == sorted([f"layer-{needed.hex}", f"layer-{below.hex}"])
    assert names(found, "failed", kept=True) == ["abc"]
    assert names(rooms(store, Marks(layers={needed}), OLD), "roots", kept=True) == [f"layer-{needed.hex}"]


def test_caches_and_logs_stay_for_their_time(store: Store) -> None:
    for name in ("logs/a.txt", "metadata/x", "repodata/y", "roots/interpreter-a/file"):
        (store.path / name).parent.mkdir(parents=True, exist_ok=True)
        (store.path / name).write_text("x")
    patient = Ages(young=OLD.young, caches=time.time() - 3600)
    assert all(entry.kept for room in rooms(store, NOTHING, patient) for entry in room.entries)
    assert not any(entry.kept for room in rooms(store, NOTHING, OLD) for entry in room.entries)


def test_what_pushed_images_hold_stays_with_their_releases_and_for_its_time(store: Store) -> None:
    retained, other = Digest.of(b"retained"), Digest.of(b"other")
    for one in (retained, other):
        store.write(f"released/{one.hex}.json", b"{}")
    store.write("advisories/abc", b"x")
    patient = Ages(young=OLD.young, caches=time.time() - 3600)
    assert len(names(rooms(store, NOTHING, patient), "released", kept=True)) == 2
    assert names(rooms(store, NOTHING, patient), "advisories", kept=True) == ["abc"]
    found = rooms(store, Marks(blobs={retained}), OLD)
    assert names(found, "released", kept=True) == [f"{retained.hex}.json"]
    assert names(found, "advisories", kept=True) == []


def test_metadata_of_a_pinned_file_stays(store: Store) -> None:
    pinned = Digest.of(b"wheel")
    store.write(f"metadata/wheel-{pinned.hex}", b"1\n")
    store.write(f"metadata/wheel-{Digest.of(b'other').hex}", b"1\n")
    found = rooms(store, Marks(sources={pinned}), OLD)
    assert names(found, "metadata", kept=True) == [f"wheel-{pinned.hex}"]


def test_wheels_of_stackbuild_itself_stay_as_long_as_their_table(store: Store) -> None:
    """A bundle took them, and the next one would download them again."""
    with store.new_source() as incoming:
        incoming.write(b"wheel")
        wheel = Digest.of(b"wheel")
        incoming.commit(wheel)
    store.write("wheels/table.json", json.dumps([["a-1-py3-none-any.whl", wheel, 5]]).encode())
    patient = Ages(young=OLD.young, caches=time.time() - 3600)
    assert names(rooms(store, NOTHING, patient), "sources/sha256", kept=True) == [wheel.hex]
    assert names(rooms(store, NOTHING, OLD), "sources/sha256", kept=True) == []
    store.write("wheels/table.json", b"[1]")
    assert names(rooms(store, NOTHING, patient), "sources/sha256", kept=True) == []


def test_tables_names_and_proofs_follow_their_actions(store: Store) -> None:
    kept, gone = Digest.of(b"kept"), Digest.of(b"gone")
    for one, word in ((kept, "a"), (gone, "b")):
        store.write(f"names/{word}", one.encode())
        store.write(f"proven/{one.hex}", b"x")
        store.write(f"took/{one.hex}", b"{}")
        store.write(f"tables/{word}", json.dumps({"t": {"key": one, "tags": {}}, "u": {"key": ""}}).encode())
    store.write("tables/damaged", b"{")
    found = rooms(store, Marks(actions={kept}), OLD)
    assert names(found, "names", kept=True) == names(found, "tables", kept=True) == ["a"]
    assert names(found, "proven", kept=True) == names(found, "took", kept=True) == [kept.hex]


def test_what_is_in_no_room_is_left_alone(store: Store) -> None:
    for name in ("uv/cache", "pushed.jsonl", "mine.txt"):
        store.write(name, b"x")
    with store.workspace() as trash:
        for _ in sweep(rooms(store, NOTHING, OLD), lambda: trash):
            pass
    assert all((store.path / name).exists() for name in ("uv/cache", "pushed.jsonl", "mine.txt", "images/index.json"))


def test_blob_that_vanishes_meanwhile_is_no_problem(store: Store) -> None:
    path = store.blob(store.put_blob(b"x"))
    found = rooms(store, NOTHING, OLD)
    os.unlink(path)
    with store.workspace() as trash:
        assert list(sweep(found, lambda: trash)) == []
