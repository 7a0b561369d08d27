"""Plan and perform: locked files → layers, one for each large file, the others in buckets.

pins ──▶ fetch.ground ──▶ fetch ──▶ layer
           ▲ all that lies below
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from builder.action import Action, Result, Workshop
from builder.compression import Codec
from builder.digest import Digest, Json
from builder.errors import StackbuildError
from builder.kinds.fetch import ground, lockfile
from builder.kinds.fetch.request import KIND, Item, item, requests
from builder.kinds.fetch.tree import entries
from builder.lock import Pin
from builder.parts import write_part
from builder.site import Site
from builder.store import Store
from builder.tree import NEWEST, Entry, Part, merge, partition

VERSION = 1
PACKAGES = "fetched"
_SPACE = 5
"""Bytes of disk that laying takes at most for each byte of a package: unpacked, and in a layer."""
_GROUND = f"{KIND}.ground"
FROM_LISTINGS = frozenset({_GROUND})


def plan(site: Site) -> tuple[Action, ...]:
    """An action for each layer of fetched files; each needs another one, which looks at what lies below.

    Raises:
        StackbuildError: the lock is missing or does not answer the manifest.
    """
    asked = requests(site.manifest, site.target)
    if not asked:
        return ()
    pins = {pin.name: pin for pin in site.lock(KIND).pins}
    items: dict[str, Item] = {}
    for request in asked:
        where = site.manifest.where(site.target, KIND, request.name)
        if request.name not in pins or lockfile.line(pins[request.name]) != request.line:
            raise StackbuildError(
                f"lock is stale: {site.target}, {KIND} {request.name}",
                where=where,
                next_step=f"stackbuild lock {site.target.image}",
            )
        user = request.table.get("owner") == "user"
        ids = (site.layout.uid, site.layout.gid) if user else (0, 0)
        items[request.name] = item(request, where, ids)
    layers = [action.readable for action in site.layers() if action.layers]
    below = {f"below-{n:03}": action for n, action in enumerate(layers)}
    parts = partition([(name, pins[name].size) for name in items])
    return tuple(_action(site, part, items, pins, below) for part in parts)


def _action(
    site: Site, part: Part, items: Mapping[str, Item], pins: Mapping[str, Pin], below: Mapping[str, Action]
) -> Action:
    own = {name: pins[name] for name in part.members}
    wanted: dict[str, Json] = {
        "fetched": {name: pin.version for name, pin in own.items()},
        "items": {name: _json(items[name]) for name in part.members},
    }
    surveyed = Action(
        kind=_GROUND,
        version=VERSION,
        name=f"ways of {KIND} {part.name} of {site.target}",
        options=wanted,
        needs=below,
        sources=own,
        layers=False,
    )
    options: Json = {**wanted, "codec": site.codec, "newest": NEWEST, "part": part.name}
    return Action(
        kind=KIND,
        version=VERSION,
        name=f"{KIND} {part.name} of {site.target}",
        options=options,
        needs={"ground": surveyed},
        sources=own,
    )


def _json(one: Item) -> Json:
    return {key: value for key, value in asdict(one).items() if key != "name"}


def space(action: Action) -> int:
    """Bytes of disk that performing it takes beside what it fetches."""
    return _SPACE * sum(pin.size for pin in action.sources.values())


def perform(action: Action, results: Mapping[str, Result], workshop: Workshop) -> Result:
    """Look at the ways of a part's files, or lay them.

    Raises:
        HostileInput: an archive is not to be trusted, or a file in the store has changed.
        StackbuildError: files collide with each other or with what stands in the image.
    """
    options = cast(dict[str, Any], action.options)
    store = workshop.store
    items = [Item(name=name, **one) for name, one in sorted(options["items"].items())]
    sources = {name: pin.digest for name, pin in action.sources.items()}
    if action.kind == _GROUND:
        layers = [layer for result in results.values() for layer in result["layers"]]
        found: Result = workshop.heavy(survey, store, items, sources, layers).result()
        return found
    ways = ground.Ground.of(results["ground"])
    layer = workshop.heavy(lay, store, f"{KIND}/{options['part']}", items, sources, ways, options["codec"]).result()
    return {"layers": [layer]}


def survey(
    store: Store, items: Sequence[Item], sources: Mapping[str, Digest], layers: Sequence[Mapping[str, Any]]
) -> dict[str, Json]:
    """The ground of these items on these layers, as the store keeps it."""
    trees = [entries(one, _checked(store, sources[one.name]), None) for one in items]
    return ground.survey(ground.standing(store, layers), (entry for tree in trees for entry in tree)).result()


def lay(
    store: Store,
    name: str,
    items: Sequence[Item],
    sources: Mapping[str, Digest],
    ways: ground.Ground,
    codec: Codec,
) -> dict[str, Any]:
    """Write these items as one layer; what it is, as `parts.write_part` tells."""
    with store.workspace() as scratch:
        trees: list[list[Entry]] = []
        for number, one in enumerate(items):
            folder = scratch / str(number)
            folder.mkdir()
            trees.append(entries(one, _checked(store, sources[one.name]), folder))
        laid = merge(ground.settle(tree, ways) for tree in trees)
        return write_part(store, name, sorted(laid, key=lambda entry: entry.path.encode()), codec)


def _checked(store: Store, digest: Digest) -> Path:
    return store.checked(store.source(digest))
