"""Hiding what an override replaces: a layer of whiteouts between the ancestors' layers and the new package's.

Without it the new files would only lie over the old ones, and what the new version no longer has would still be
there, its dist-info first of all: two versions of one package for whoever asks the metadata.

What the old package had, the entry lists of the ancestors' layers tell, bytecode included. A folder that holds
nothing else goes as a whole. Drawback: where two packages of one layer bring the same file, equal in bytes, the list
names only the first; if that is the overridden one and its new version has no such file, it is gone for both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from builder import listing
from builder.action import Action, Result, Workshop
from builder.digest import Json
from builder.kinds.pip.waivers import overrides
from builder.parts import write_parts
from builder.site import Site
from builder.store import Store
from builder.tree import Entry, with_parents

VERSION = 1
_ELSEWHERE = ("account", "apt")
"""Kinds whose layers have nothing below a prefix of Python packages."""


def plan(site: Site) -> Action | None:
    """The layer that hides what the target's image overrides; None where it overrides nothing."""
    names = [one.name for one in overrides(site.manifest, site.target)]
    if not names:
        return None
    below = [
        action
        for planned in site.ancestors
        for action in planned.actions
        if action.layers and action.kind.partition(".")[0] not in _ELSEWHERE
    ]
    options: Json = {"codec": site.codec, "names": sorted(names)}
    return Action(
        kind="pip.override",
        version=VERSION,
        name=f"override of {', '.join(names)} in {site.target}",
        options=options,
        needs={f"below-{number:03}": action for number, action in enumerate(below)},
    )


def perform(action: Action, results: Mapping[str, Result], workshop: Workshop) -> Result:
    """Write the whiteouts."""
    options = cast(Mapping[str, Any], action.options)
    layers = [(action.needs[role].kind, layer) for role in sorted(results) for layer in results[role]["layers"]]
    stand, folders = _standing(workshop.store, layers)
    entries = with_parents((Entry(path, "whiteout") for path in hide(stand, options["names"])), folders)
    return write_parts(workshop, [("pip/override", entries)], options["codec"])


def hide(stand: Mapping[str, frozenset[str]], names: Iterable[str]) -> Iterator[str]:
    """The paths to hide, sorted: whole folders that hold nothing but these packages' files, else single files.

    Args:
        stand: path of a file → the packages that bring it; "" for what is no Python package's.
    """
    wanted = set(names)
    gone = {path for path, owners in stand.items() if owners <= wanted}
    kept: set[str] = set()
    for path in stand.keys() - gone:
        while path:
            kept.add(path)
            path = path.rpartition("/")[0]
    found = set()
    for path in gone:
        while (folder := path.rpartition("/")[0]) and folder not in kept:
            path = folder
        found.add(path)
    yield from sorted(found)


def _standing(
    store: Store, layers: Iterable[tuple[str, Mapping[str, Any]]]
) -> tuple[dict[str, frozenset[str]], dict[str, Entry]]:
    """The files that stand after these layers, with whose they are, and their folders."""
    found: dict[str, frozenset[str]] = {}
    folders: dict[str, Entry] = {}
    for kind, layer in layers:
        for entry in listing.read(store, layer):
            if entry.kind == "dir":
                uid, _, gid = entry.ids.partition(":")
                folders[entry.path] = Entry(entry.path, "dir", int(entry.mode, 8), int(uid), int(gid))
            elif entry.kind == "whiteout":
                gone = entry.path.removesuffix("/.wh..opq")
                found = {path: one for path, one in found.items() if path != gone and not path.startswith(gone + "/")}
            else:
                owner = entry.owner if kind == "pip" else ""
                found[entry.path] = found.get(entry.path, frozenset()) | {owner}
    return found, folders
