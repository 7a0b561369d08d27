"""Two conda packages that bring one path with other content: seen once all layers of the prefix are there.

conda itself lets one of the two win, with a warning. Here every path has one content, so that a tree is a function of
its packages and not of an order among them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from builder import listing
from builder.action import Action, Result
from builder.errors import Problems, StackbuildError
from builder.listing import Listed
from builder.site import Site
from builder.store import Store

VERSION = 1
_SHOWN = 20


def plan(site: Site, conda: Iterable[Action]) -> tuple[Action, ...]:
    """One action that reads all layers of conda's packages in a prefix, inherited and own, and adds none."""
    needs = {f"{number:03}": action for number, action in enumerate(conda)}
    if len(needs) < 2:  # Packages of one layer were merged when it was written.
        return ()
    return (Action(kind="conda.clash", version=VERSION, name=f"conda paths of {site.target}", options={}, needs=needs),)


def perform(action: Action, results: Mapping[str, Result], store: Store) -> Result:
    """Look for clashes.

    Raises:
        Problems: there are; the first of them are told.
    """
    layers = [layer for role in sorted(results) for layer in results[role]["layers"]]
    found = [
        StackbuildError(
            f"two conda packages bring /{path} with different content: {one} and {other}",
            where=action.name,
            expected="one of them to have it",
            next_step="leave one of them out, or pin builds that do not collide",
        )
        for path, one, other in clashes(store, layers)
    ]
    if found:
        raise Problems(found[:_SHOWN])
    return {"layers": []}


def clashes(store: Store, layers: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str, str]]:
    """(path, package, package) where two bring other bytes or another mode, or one a file and one a folder."""
    found: dict[str, Listed] = {}
    for layer in layers:
        for entry in listing.read(store, layer):
            if entry.kind == "dir":
                continue
            other = found.setdefault(entry.path, entry)
            if other.owner != entry.owner and other[:2] + other[3:5] != entry[:2] + entry[3:5]:
                yield entry.path, other.owner, entry.owner
    told: set[str] = set()
    for path, entry in found.items():
        while (path := path.rpartition("/")[0]) and path not in told:
            told.add(path)
            if path in found:
                yield path, found[path].owner, entry.owner
