"""Images that name another image by its digest: edges of the graph of images that are not `from`.

A kind says in `EDGES` which of its keys are lists of tables that name one, as `image` and perhaps `variant`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from builder import kinds
from builder.digest import Json
from builder.manifest.image import Origin
from builder.manifest.model import Manifest, Target
from builder.manifest.settings import PLAIN
from builder.manifest.shape import Finding, join
from builder.manifest.validate import Tables, tables, texts
from builder.manifest.variants import Grid


def named(manifest: Manifest, target: Target) -> tuple[Target, ...]:
    """The targets of the same platform that a target itself names, each once, in the order of first mention."""

    def find(target: Target) -> tuple[Target, ...]:
        found = (chosen(manifest, target, one) for key in _keys() for one in manifest.tables(target, key))
        return tuple(dict.fromkeys(found))

    return manifest.once("named", target, find)


def chosen(manifest: Manifest, target: Target, table: Mapping[str, Json]) -> Target:
    """The target that such a table means: of the variant it says, else of the same one, else of the plain one."""
    image = str(table["image"])
    variant = str(table.get("variant") or _variant(target.variant, manifest.images[image].variants))
    return Target(image, variant, target.platform)


def whole(manifest: Manifest, *targets: Target) -> tuple[Target, ...]:
    """Every target that these are built from or name, directly or not, and they; needed ones first, each once."""
    found: dict[Target, None] = {}
    todo = [(target, False) for target in reversed(targets)]
    while todo:
        target, complete = todo.pop()
        if complete:
            found[target] = None
        elif target not in found:
            parent = manifest.parent(target)
            needed = (*((parent,) if parent else ()), *named(manifest, target))
            todo.append((target, True))
            todo += [(one, False) for one in reversed(needed) if one not in found]
    return tuple(found)


def images(manifest: Manifest, image: str) -> tuple[str, ...]:
    """The images that one is built from or names itself, for any of its targets."""
    found: dict[str, None] = {}
    for asked in tables_of(manifest, image):
        if parent := Origin.parse(str(asked["from"])).parent if "from" in asked else "":
            found[parent] = None
        for key in _keys():
            rows = asked.get(key, ())
            assert isinstance(rows, tuple), key
            found |= {str(row["image"]): None for row in rows if isinstance(row, Mapping)}
    if parent := manifest.images[image].parent:
        found[parent] = None
    return tuple(found)


def tables_of(manifest: Manifest, image: str) -> Iterator[Mapping[str, Json]]:
    """All that an image asks for anywhere: its sets and its own table, in general and below every `on`."""
    found = manifest.images[image]
    for asks, on in (
        *((manifest.sets[name].asks, manifest.sets[name].on) for name in found.use),
        (found.asks, found.on),
    ):
        yield asks
        yield from on.values()


def check(document: Mapping[str, Any], full: Tables) -> Iterator[Finding]:
    """What is wrong about them: images that need each other, variants and platforms that the named one does not have.

    Args:
        document: what tomli gave.
        full: its images, expanded.
    """
    grid, sets = Grid(document, full), tables(document, "sets")
    step = {name: [one["image"] for _, one in _rows(name, image, sets)] for name, image in full.items()}
    for name, image in full.items():
        parent = grid.parent(name)
        step[name] += [parent] if parent else []
        for path, row in _rows(name, image, sets):
            if row["image"] in full:
                yield from _fitting(path, name, row, grid)
    for name, image in full.items():
        for path, row in _rows(name, image, sets):
            if name in _reached(row["image"], step):
                yield Finding(
                    path=path,
                    what=f"images that need each other: {name} names {row['image']}, which needs {name}",
                    expected="an image that is built without it",
                )


@cache
def _keys() -> tuple[str, ...]:
    return tuple(key for kind in kinds.kinds().values() for key in getattr(kind, "EDGES", ()))


def _variant(wanted: str, there: tuple[str, ...]) -> str:
    return wanted if wanted in there else PLAIN if PLAIN in there else there[0]


def _rows(name: str, image: Mapping[str, Any], sets: Tables) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """TOML path and table of each name that an image has, its own or through a set."""
    places = [(join("images", name), image)]
    places += [(join("sets", one), sets[one]) for one in texts(image.get("use")) if one in sets]
    for path, place in places:
        below = [(path, place), *((join(f"{path}.on", one), rows) for one, rows in tables(place, "on").items())]
        for here, asked in below:
            for key in _keys():
                rows = asked.get(key)
                for n, row in enumerate(rows if isinstance(rows, list) else ()):
                    if isinstance(row, dict) and isinstance(row.get("image"), str):
                        yield f"{here}.{key}[{n}]", row


def _fitting(path: str, name: str, row: Mapping[str, Any], grid: Grid) -> Iterator[Finding]:
    image, asked = row["image"], row.get("variant")
    there = grid.variants(image)
    for variant in grid.variants(name):
        theirs = asked if isinstance(asked, str) else _variant(variant, there) if there else PLAIN
        lacking = [one for one in grid.platforms(name, variant) if one not in _platforms(image, theirs, grid)]
        if lacking:
            yield Finding(
                path=path,
                what=f"{name}:{variant} names {image}:{theirs}, which is not there for {', '.join(lacking)}",
                expected="an image and a variant that is built for each of its platforms",
                got=f"{image} has " + (", ".join(there) or "no variant"),
            )
            return


def _platforms(image: str, variant: str, grid: Grid) -> tuple[str, ...]:
    return grid.platforms(image, variant) if variant in grid.variants(image) else ()


def _reached(start: str, step: Mapping[str, list[str]]) -> frozenset[str]:
    """What an image needs, directly or not, itself among it."""
    found: set[str] = set()
    todo = [start]
    while todo:
        one = todo.pop()
        if one in step and one not in found:
            found.add(one)
            todo += step[one]
    return frozenset(found)
