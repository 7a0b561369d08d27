"""Random stores for what collects garbage: plans, results, images, bytecode; and, counted apart, what each needs."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from builder.action import Action
from builder.digest import Digest, Json, canonical, key
from builder.incoming import Incoming
from builder.lock import Pin
from builder.store import Store

LATER = 2 * 86400
"""Seconds from now: when the collector comes."""


@dataclass(frozen=True)
class Draft:
    """One action as drawn: numbers of earlier actions and of sources that it reads, of layers that it comes to."""

    needs: frozenset[int]
    sources: frozenset[int]
    layers: tuple[int, ...]
    image: bool
    performed: bool
    twin: bool
    """Whether its result is also found under its key."""


@dataclass(frozen=True)
class Drawn:
    """A whole store as drawn; numbers are of drafts, but for `bytecode` and `young`, which are of sources."""

    drafts: tuple[Draft, ...]
    tagged: frozenset[int]
    wanted: frozenset[int]
    bytecode: frozenset[int]
    young: frozenset[int]
    new: frozenset[int]
    """Drafts whose own file is young."""


@st.composite
def drawn(draw: st.DrawFn) -> Drawn:
    count = draw(st.integers(1, 7))
    numbers = st.frozensets(st.integers(0, count - 1))
    few = st.frozensets(st.integers(0, 3))
    drafts = tuple(
        Draft(
            needs=frozenset(draw(st.frozensets(st.integers(0, number - 1), max_size=3))) if number else frozenset(),
            sources=draw(few),
            layers=tuple(sorted(draw(few))),
            image=draw(st.booleans()),
            performed=draw(st.integers(0, 4)) > 0,
            twin=draw(st.booleans()),
        )
        for number in range(count)
    )
    return Drawn(drafts, draw(numbers), draw(numbers), draw(few), draw(few), draw(numbers))


@dataclass
class World:
    """The store that was made of a drawing.

    Attributes:
        needed: every file that must stay, by what its number's roots need.
        images: number → digest of the manifest.
        actions: by number.
    """

    store: Store
    actions: list[Action] = field(default_factory=list)
    images: dict[int, Digest] = field(default_factory=dict)
    needed: set[Path] = field(default_factory=set)
    names: dict[Path, set[Path]] = field(default_factory=dict)
    """What each action's file names."""


@contextmanager
def world_of(what: Drawn) -> Iterator[World]:
    """A store of a drawing, for as long as it is looked at."""
    with tempfile.TemporaryDirectory() as folder:
        yield made(Store.open(Path(folder) / "store"), what)


def made(store: Store, what: Drawn) -> World:
    """Make the store. What must stay is counted from the drawing, not from the store."""
    world = World(store)
    sources = [_put(store, store.new_source(), f"source {number}") for number in range(4)]
    pinned: set[int] = set()
    files: list[set[Path]] = []
    for number, draft in enumerate(what.drafts):
        action = Action(
            kind="image" if draft.image else "test",
            version=1,
            name=str(number),
            options={"number": number},
            needs={str(one): world.actions[one] for one in sorted(draft.needs)},
            sources={str(one): _pin(one, sources[one]) for one in sorted(draft.sources)},
        )
        world.actions.append(action)
        files.append(_performed(world, number, draft, action, what) if _possible(what, number) else set())
    for number in what.wanted:
        for one in _below(what, number):
            world.needed |= files[one]
            pinned |= what.drafts[one].sources
    for number in what.tagged & world.images.keys():
        same = [one for one, digest in world.images.items() if digest == world.images[number]]
        for one in same:
            world.needed |= files[one]
    for number in what.bytecode:
        result = _put(store, store.new_source(), f"bytecode {number}")
        document: Json = {"kind": "bytecode", "kind_version": 1, "options": {}, "inputs": {"wheel": sources[number]}}
        store.put_action(key(document), document, {"bytecode": result})
        place = store.path / "actions" / f"{key(document).hex}.json"
        world.names[place] = {store.source(result)}
        if number in pinned:
            world.needed |= {place, store.source(result)}
    world.needed |= {store.source(sources[one]) for one in pinned}
    for number in what.young:
        _renew(store.source(sources[number]))
        world.needed.add(store.source(sources[number]))
    return world


def contents(store: Store) -> set[Path]:
    """Every file in the rooms that are swept."""
    rooms = ("actions", "sources/sha256", "images/blobs/sha256", "names", "tables", "proven")
    return {path for room in rooms for path in (store.path / room).glob("*")}


def _performed(world: World, number: int, draft: Draft, action: Action, what: Drawn) -> set[Path]:
    """Leave an action's result as a build does, and as a young one if so drawn; the files that it is made of."""
    store = world.store
    result: dict[str, Any] = {"layers": [_layer(store, one) for one in draft.layers]}
    named = {store.blob(one["digest"]) for one in result["layers"]}
    named |= {store.source(one["listing"]) for one in result["layers"]}
    if draft.image:
        config = store.put_blob(canonical({"rootfs": draft.layers}))
        rows: list[Json] = [{"digest": one["digest"], "size": 1} for one in result["layers"]]
        manifest = store.put_blob(canonical({"config": {"digest": config}, "layers": rows}))
        result |= {"config": config, "manifest": {"digest": manifest}}
        named |= {store.blob(config), store.blob(manifest)}
        world.images[number] = manifest
    store.put_action(action.plan_key, action.document, result)
    places = [store.path / "actions" / f"{action.plan_key.hex}.json"]
    if draft.twin:
        needs = {role: (store.action(need.plan_key) or {})["result"] for role, need in action.needs.items()}
        document = action.result_document(needs)
        store.put_action(key(document), document, result)
        places.append(store.path / "actions" / f"{key(document).hex}.json")
    world.names |= dict.fromkeys(places, named)
    if number in what.new:
        _renew(places[0])
        world.needed |= {places[0], *named}
    return {*places, *named}


def _possible(what: Drawn, number: int) -> bool:
    draft = what.drafts[number]
    return draft.performed and all(_possible(what, one) for one in draft.needs)


def _below(what: Drawn, number: int) -> set[int]:
    return {number}.union(*(_below(what, one) for one in what.drafts[number].needs))


def _layer(store: Store, number: int) -> dict[str, Any]:
    return {
        "name": str(number),
        "digest": _put(store, store.new_blob(), f"layer {number}"),
        "diff_id": Digest.of(b"diff %d" % number),
        "listing": _put(store, store.new_source(), f"listing {number}"),
    }


def _put(store: Store, incoming: Incoming, text: str) -> Digest:
    with incoming:
        incoming.write(text.encode())
        incoming.commit(Digest.of(text.encode()))
    return Digest.of(text.encode())


def _pin(number: int, digest: Digest) -> Pin:
    return Pin(kind="test", name=str(number), version="1", filename="x", digest=digest, size=1)


def _renew(path: Path) -> None:
    """Let a file be as young as it can be when the collector comes."""
    moment = path.stat().st_ctime + LATER
    os.utime(path, (moment, moment))
