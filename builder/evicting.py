"""Which things of a store go so that it fits into a size: the least recently used, of what is easiest to have again.

    caches ─▶ what no project built last ─▶ what the last builds were made of ╎ what projects built last: never
    roots, metadata, …     by last use            fetched files, by last use

A thing has been used when an action was that needs it: that names it in its result or reads it. Of actions, builds note
when they find one that they need (`Store.used`), and `run`, `push` and others that of the image; nobody notes more.
What names a thing never goes after it: it is needed by as many or fewer.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from builder import unpacked, weighing
from builder.digest import Digest
from builder.errors import HostileInput
from builder.marking import Marks, actions, inputs, named
from builder.plan import files_of
from builder.store import Store
from builder.sweeping import Entry, Room, tabled, text_of, time_of

Rank: TypeAlias = tuple[float, float]
"""When a thing goes: which turn, and in that, when it was used last. The least goes first."""

_CACHES, _OTHERS, _LAST = 0.0, 1.0, 2.0
_NEVER: Rank = (math.inf, math.inf)
_CACHED = frozenset({"failed", "roots", "metadata", "repodata", "advisories", "keys", "logs", "wheels", "tools"})
_TOOLS = ("npm", "pip-tools", "uv")
"""Caches of other tools; nobody knows what in them was used."""


def tools(store: Store) -> Room:
    """The caches of other tools, as a room: each goes as a whole."""
    paths = (store.path / name for name in _TOOLS)
    return Room(name="tools", entries=tuple(Entry(path, True) for path in paths if path.is_dir()))


def size(rooms: Iterable[Room]) -> int:
    """Bytes of what stays in these rooms; a file with several names counts once."""
    weights = (weighing.weigh(entry.path) for room in rooms for entry in room.entries if entry.kept)
    return sum({one.inode: one.size for one in weights}.values())


def evict(ranks: Ranks, rooms: Sequence[Room], limit: int, *, caches: bool = False) -> tuple[Room, ...]:
    """Choose what goes until what stays is no larger than so many bytes, or nothing more may go.

    Args:
        caches: whether only these go.
    """
    kept = [(ranks.of(room, entry.path), entry.path) for room in rooms for entry in room.entries if entry.kept]
    weights = {path: weighing.weigh(path) for _, path in kept}
    names = Counter(one.inode for one in weights.values())
    size = sum({one.inode: one.size for one in weights.values()}.values())
    gone: set[Path] = set()
    for rank, path in sorted(kept, key=lambda one: one[0]):  # Stable: of one rank, in the order of sweeping.
        if size <= limit or rank == _NEVER or (caches and rank[0] > _CACHES):
            break
        gone.add(path)
        names[weights[path].inode] -= 1
        size -= weights[path].size if not names[weights[path].inode] else 0
    return tuple(
        replace(room, entries=tuple(Entry(path, kept and path not in gone) for path, kept in room.entries))
        for room in rooms
    )


class Ranks:
    """When what goes.

    Args:
        last: what projects built last, and all that it needs.
        images: manifests and indexes that have a name.
    """

    def __init__(self, store: Store, last: Marks, images: Collection[Digest]) -> None:
        self._store = store
        self._last = last
        self._actions: dict[str, Rank] = {}
        self._files: dict[Path, Rank] = {}
        self._indexes: dict[Path, Rank] = {}
        for name, entry in actions(store):
            rank = (_OTHERS, _time(store.path / "actions" / f"{name.hex}.json"))
            self._actions[name.hex] = _NEVER if name in last.actions else rank
            for digest, blob in files_of(entry["result"]):
                self._used(store.blob(digest) if blob else store.source(digest), rank)
            for digest in inputs(entry).values():
                self._used(store.source(digest), rank)
        for image in images:
            documents, _ = named(store, image)
            if documents:  # An index; no action names it.
                self._indexes[store.blob(image)] = min(self._blob(store.blob(one)) for one in documents)

    def of(self, room: Room, path: Path) -> Rank:
        """When something of a room goes."""
        match room.name:
            case "tables":
                return min((self._action(key) for key in tabled(path)), default=(_OTHERS, _time(path)))
            case "names":
                return self._action(text_of(path).removeprefix("sha256:"))
            case "proven" | "checked" | "took":
                return self._action(path.name)
            case "actions":
                return self._action(path.stem)
            case "sources/sha256":
                return self._source(path)
            case "images/blobs/sha256":
                return self._blob(path)
            case one if one in _CACHED and not unpacked.in_use(path):
                return (_CACHES, 0.0 if one == "tools" else _time(path))
        return _NEVER

    def untagged(self, before: Iterable[Room], after: Iterable[Room]) -> frozenset[str]:
        """What `index.json` must not name any more, as something goes that it needs."""
        left, right = (
            {entry.path for room in rooms for entry in room.entries if entry.kept} for rooms in (before, after)
        )
        return frozenset(text for text in self._store.images.indexed() if self._needed(text) & (left - right))

    def _needed(self, text: str) -> set[Path]:
        """The blobs that an image needs, itself among them."""
        found, todo = set[Path](), list(_digests([text]))
        while todo:
            one = todo.pop()
            if self._store.blob(one) not in found:
                documents, files = named(self._store, one)
                found |= {self._store.blob(one), *map(self._store.blob, files)}
                todo += documents
        return found

    def _used(self, path: Path, rank: Rank) -> None:
        self._files[path] = max(self._files.get(path, rank), rank)

    def _action(self, name: str) -> Rank:
        return self._actions.get(name, (_OTHERS, 0.0))

    def _source(self, path: Path) -> Rank:
        digest = Digest(f"sha256:{path.name}")
        rank = self._files.get(path) or (_OTHERS, _time(path))
        if digest in self._last.pinned:
            return (_LAST, rank[1])
        return _NEVER if digest in self._last.sources else rank

    def _blob(self, path: Path) -> Rank:
        if Digest(f"sha256:{path.name}") in self._last.blobs:
            return _NEVER
        return self._indexes.get(path) or self._files.get(path) or (_OTHERS, _time(path))


def _digests(texts: Iterable[str]) -> Iterator[Digest]:
    for text in texts:
        try:
            yield Digest.parse(text)
        except HostileInput:
            continue  # Of another algorithm, which nothing of ours has.


def _time(path: Path) -> float:
    try:
        return time_of(path)
    except FileNotFoundError:
        return 0.0
