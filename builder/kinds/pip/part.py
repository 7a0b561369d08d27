"""Write one layer of wheels; runs in a process of the pool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from builder import compression
from builder.compression import Codec
from builder.conflicts import Clash, clash
from builder.digest import Digest
from builder.errors import StackbuildError
from builder.kinds.oci.survey import nearest
from builder.kinds.pip import bytecode
from builder.kinds.pip.bytecode import Source
from builder.kinds.pip.preferred import Preferred, settle
from builder.kinds.pip.scheme import FOLDER_MODE, Environment
from builder.kinds.pip.wheel import lay
from builder.parts import write_part
from builder.store import Store
from builder.tree import Entry, merge, with_parents


def write_wheels(
    store: Store,
    name: str,
    wheels: Sequence[Source],
    place: Environment,
    zips: Mapping[str, Digest],
    settled: Sequence[Preferred] = (),
    standing: Mapping[str, Sequence[int]] | None = None,
    codec: Codec | None = None,
) -> dict[str, Any]:
    """Lay wheels with their bytecode, as far as there is any, and write them as the layer `name`.

    Args:
        standing: path → mode, uid and gid of a foreign image's folders: on the way to the prefix; if the prefix is
            the image's own, of it, and of those in it that are not as the nearest above them.
        codec: how the layer is compressed; None for the default.

    Raises:
        StackbuildError: two of them bring one path with other content, which the manifest does not settle.
    """
    trees = []
    for wheel in wheels:
        compiled = bytecode.members(store, zips[wheel.name]) if wheel.name in zips else {}
        laid = lay(store.source(wheel.digest), wheel.name, wheel.filename, place, compiled)
        trees.append(settle(laid.entries, wheel.name, settled, place))
    return write_part(
        store,
        name,
        in_prefix(merge(trees, refuse=_refuse), place, standing),
        codec or compression.codec(compression.DEFAULT),
    )


def _refuse(path: str, one: str, other: str) -> StackbuildError:
    return clash(Clash(path, one, other), "")


def in_prefix(
    entries: Sequence[Entry], place: Environment, standing: Mapping[str, Sequence[int]] | None = None
) -> list[Entry]:
    """Entries with their folders: of the prefix and below it as the prefix's files, above it as Debian's.

    In a foreign image folders are as they stand there, new ones as the nearest above them.
    """
    prefix = place.prefix.strip("/")
    rules: dict[str, tuple[int, int, int]] = {"": (0o755, 0, 0), prefix: (FOLDER_MODE, 0, 0)}
    rules |= {path: (mode, uid, gid) for path, (mode, uid, gid) in (standing or {}).items()}
    return [
        Entry(entry.path, "dir", *nearest(entry.path, rules)) if entry.kind == "dir" else entry
        for entry in with_parents(entries)
    ]
