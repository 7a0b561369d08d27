"""Entry lists of written layers: what a layer holds, without opening it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from builder.digest import Digest
from builder.errors import StackbuildError
from builder.store import Store


class Listed(NamedTuple):
    """One entry of a layer. `mark` is the beginning of the content's sha256, or `-> target`."""

    kind: str
    mode: str
    ids: str
    size: int
    mark: str
    path: str
    owner: str


def read(store: Store, layer: Mapping[str, Any]) -> Iterator[Listed]:
    """The entries of a layer, as its result names it.

    Raises:
        StackbuildError: the list is gone from the store.
    """
    try:
        text = store.source(Digest(layer["listing"])).read_bytes().decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        raise StackbuildError(
            f"the entry list of layer {layer['name']} is gone from the store",
            next_step="stackbuild build --rebuild, which makes it again",
        ) from None
    for line in text.split("\n")[:-1]:
        head, path, owner = line.split("\t")
        kind, mode, ids, size, mark = head.split(" ", 4)
        yield Listed(kind, mode, ids, int(size), mark, path, owner)


def folders(store: Store, results: Iterable[Mapping[str, Any]]) -> tuple[set[str], dict[str, str]]:
    """Which folders stand, and which links to where, after the layers of these results in order."""
    stand: set[str] = set()
    links: dict[str, str] = {}
    for result in results:
        for layer in result["layers"]:
            for entry in read(store, layer):
                if entry.kind == "dir":
                    stand.add(entry.path)
                    links.pop(entry.path, None)
                elif entry.kind == "link":
                    links[entry.path] = entry.mark.removeprefix("-> ")
                    stand.discard(entry.path)
                elif entry.kind == "whiteout":
                    stand.discard(entry.path)
                    links.pop(entry.path, None)
    return stand, links


def conflicts(store: Store, layers: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str, str]]:
    """(path, owner, owner) of files that two packages of these layers bring with different bytes."""
    found: dict[str, Listed] = {}
    for layer in layers:
        for entry in read(store, layer):
            if entry.kind == "dir":
                continue
            other = found.setdefault(entry.path, entry)
            if other.owner != entry.owner and (other.mark, other.size, other.mode) != (
                entry.mark,
                entry.size,
                entry.mode,
            ):
                yield entry.path, other.owner, entry.owner
