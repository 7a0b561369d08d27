"""Single files of a built image, read from its layers without unpacking them, so without a sandbox.

    layers, lowest first ─→ entry list: has it a path that is wanted? ─→ members of its tar ─→ the last of each path

A layer without an entry list, of a foreign base, is read whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from builder import listing
from builder.bill import Files
from builder.digest import Digest
from builder.errors import HostileInput
from builder.kinds.oci.archive import Layer, Member
from builder.store import Store

_LARGEST = 64 << 20
"""Bytes of one file; a larger one counts as not there."""
_MOST = 1 << 30
"""Bytes of all files."""


def read(
    store: Store, layers: Sequence[Mapping[str, Any]], wanted: Iterable[re.Pattern[str]]
) -> tuple[Files, tuple[str, ...]]:
    """The files and symbolic links whose whole paths match, as they stand after all layers.

    Args:
        layers: as the result of an image's action has them, lowest first.

    Returns:
        The files, and the names of layers that the store does not have.

    Raises:
        HostileInput: a layer is damaged, or has more of them than anybody needs.
    """
    patterns = tuple(wanted)
    seen = _Seen(patterns)
    absent = []
    for layer in layers:
        left = _concerned(store, layer, patterns)
        if left == 0:
            continue
        path = store.blob(Digest(layer["digest"]))
        if not path.exists():
            absent.append(str(layer["name"]))
            continue
        reader = Layer(store.checked(path), str(layer["name"]))
        for member in reader:
            left -= seen.take(reader, member)
            if left == 0:
                break  # The blob's digest was checked, so the rest may stay packed.
    return Files(contents=seen.contents, links=seen.links), tuple(absent)


def _concerned(store: Store, layer: Mapping[str, Any], wanted: Sequence[re.Pattern[str]]) -> int:
    """How many members of a layer are, or may hide, what is wanted; -1 where it has no list of its entries."""
    if not layer.get("listing") or not store.source(Digest(layer["listing"])).exists():
        return -1
    return sum(
        (one.kind != "dir" and _matches(wanted, one.path)) or one.kind == "whiteout" or one.path.endswith("/.wh..opq")
        for one in listing.read(store, layer)
    )


def _matches(wanted: Sequence[re.Pattern[str]], path: str) -> bool:
    return any(one.fullmatch(path) for one in wanted)


class _Seen:
    """What stands after the layers that were read so far."""

    def __init__(self, wanted: Sequence[re.Pattern[str]]) -> None:
        self._wanted = wanted
        self._size = 0
        self.contents: dict[str, bytes] = {}
        self.links: dict[str, str] = {}

    def take(self, layer: Layer, member: Member) -> bool:
        """One member of the layer that is read now; whether it is, or hides, what may be wanted."""
        if member.kind in {"whiteout", "opaque"}:
            self._hide(member.path, itself=member.kind == "whiteout")
            return True
        if member.kind == "dir" or not _matches(self._wanted, member.path):
            return False
        self.contents.pop(member.path, None)
        self.links.pop(member.path, None)
        if member.kind == "link":
            self.links[member.path] = member.target
        elif member.kind == "hardlink":
            if member.target in self.contents:
                self.contents[member.path] = self.contents[member.target]
        elif member.info.size <= _LARGEST:
            self._size += member.info.size
            if self._size > _MOST:
                raise HostileInput("an image with more metadata than anybody needs", expected=f"at most {_MOST} bytes")
            self.contents[member.path] = layer.content(member).read()
        return True

    def _hide(self, path: str, *, itself: bool) -> None:
        for table in (self.contents, self.links):
            for one in [one for one in table if (itself and one == path) or one.startswith(f"{path}/" if path else "")]:
                del table[one]
