"""Write one layer of wheels; runs in a process of the pool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from builder.digest import Digest
from builder.kinds.pip import bytecode
from builder.kinds.pip.bytecode import Source
from builder.kinds.pip.wheel import FOLDER_MODE, Environment, lay
from builder.parts import write_part
from builder.store import Store
from builder.tree import Entry, merge, with_parents


def write_wheels(
    store: Store, name: str, wheels: Sequence[Source], place: Environment, zips: Mapping[str, Digest]
) -> dict[str, Any]:
    """Lay wheels with their bytecode and write them as the layer `name`."""
    trees = []
    for wheel in wheels:
        compiled = bytecode.members(store, zips[wheel.name])
        trees.append(lay(store.source(wheel.digest), wheel.name, wheel.filename, place, compiled).entries)
    return write_part(store, name, in_prefix(merge(trees), place))


def in_prefix(entries: Sequence[Entry], place: Environment) -> list[Entry]:
    """Entries with their folders: of the prefix and below it as the prefix's files, above it as Debian's."""
    prefix = place.prefix.strip("/")
    return [
        Entry(entry.path, "dir", FOLDER_MODE)
        if entry.kind == "dir" and (entry.path + "/").startswith(prefix + "/")
        else entry
        for entry in with_parents(entries)
    ]
