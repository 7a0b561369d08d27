"""Write one layer of packages; runs in a process of the pool."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from builder.compression import Codec
from builder.digest import Digest
from builder.kinds.npm.lay import Laying, in_prefix, unpack, with_programs
from builder.parts import write_part
from builder.store import Store
from builder.tree import Entry, merge


def write_packages(store: Store, name: str, layings: Sequence[Laying], prefix: str, codec: Codec) -> dict[str, Any]:
    """Lay packages and write them as the layer `name`."""
    with store.workspace() as scratch:
        return write_part(store, name, tree(store, layings, prefix, scratch), codec)


def tree(store: Store, layings: Sequence[Laying], prefix: str, scratch: Path) -> list[Entry]:
    """The sorted entries of packages, links to their programs among them.

    Args:
        scratch: a folder that is empty but for a lock; the files' content lies there as long as the entries are used.

    Raises:
        HostileInput: a tarball is not what its pin or its package.json says.
    """
    trees = []
    for number, laying in enumerate(layings):
        (folder := scratch / f"p{number}").mkdir()
        source = store.checked(store.source(_digest(laying)))
        trees.append(with_programs(unpack(source, laying, prefix, folder), laying, prefix))
    return in_prefix(merge(trees), prefix)


def _digest(laying: Laying) -> Digest:
    assert laying.package.digest is not None
    return laying.package.digest
