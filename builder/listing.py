"""Entry lists of written layers: what a layer holds, without opening it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from builder.digest import Digest
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
        StackbuildError: the list is gone from the store, or has changed there; the next build makes it again.
    """
    text = store.checked(store.source(Digest(layer["listing"]))).read_bytes().decode("utf-8", "surrogateescape")
    for line in text.split("\n")[:-1]:
        head, path, owner = line.split("\t")
        kind, mode, ids, size, mark = head.split(" ", 4)
        yield Listed(kind, mode, ids, int(size), _plain(mark), _plain(path), owner)


def _plain(text: str) -> str:
    """What `layer.escaped` made of a text, undone."""
    if "\\" not in text:
        return text
    return re.sub(r"\\(.)", lambda found: {"t": "\t", "n": "\n"}.get(found[1], found[1]), text)


def folders(store: Store, results: Iterable[Mapping[str, Any]]) -> tuple[dict[str, Listed], dict[str, str]]:
    """The folders that stand, and where links lead, after the layers of these results in order."""
    stand: dict[str, Listed] = {}
    links: dict[str, str] = {}
    for result in results:
        for layer in result["layers"]:
            for entry in read(store, layer):
                if entry.kind == "dir":
                    stand[entry.path] = entry
                    links.pop(entry.path, None)
                    continue
                gone = entry.path.removesuffix("/.wh..opq")
                if gone == entry.path:
                    links.pop(gone, None)
                if gone in stand:
                    stand = {one: kept for one, kept in stand.items() if not one.startswith(gone + "/")}
                    links = {one: target for one, target in links.items() if not one.startswith(gone + "/")}
                    if gone == entry.path:
                        del stand[gone]
                if entry.kind == "link":
                    links[entry.path] = entry.mark.removeprefix("-> ")
    return stand, links
