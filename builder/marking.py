"""What of a store is still needed: everything that can be reached from its roots.

    tags, releases ──▶ index ──▶ manifest ──▶ config, layers
                                    ▲
    image's action ─────────────────┘ its result names it, so that building what is tagged is building nothing

    plans of current locks ──▶ actions ──▶ what their results name: layers, entry lists, wheels, manifest, config
                                  │ ├────▶ the actions that they need, and the files that they read
                                  │ └────▶ the same action under its key, for early cutoff
                                  └──────▶ bytecode of the packages that they read

An action's file holds its document, whose inputs are plan keys and digests of sources. So what a plan needs can be
followed in the store alone, without the manifest and the locks that it was made from.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from builder.action import Action
from builder.digest import Digest, key
from builder.errors import HostileInput
from builder.plan import files_of
from builder.store import Store

_LARGEST = 4 << 20
"""Bytes of a manifest or an index (distribution-spec v1.1); what is longer is none."""
_NONSENSE = (KeyError, TypeError, ValueError, AttributeError, RecursionError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Roots:
    """What marking begins with.

    Attributes:
        images: manifests and indexes that have a name: a tag, a release.
        plans: plan keys of actions that somebody would build or has built; what they need is needed too.
        sources: files that somebody would read.
    """

    images: frozenset[Digest] = frozenset()
    plans: frozenset[Digest] = frozenset()
    sources: frozenset[Digest] = frozenset()

    def __or__(self, other: Roots) -> Roots:
        return Roots(
            images=self.images | other.images,
            plans=self.plans | other.plans,
            sources=self.sources | other.sources,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """What is needed, by the room it lies in; `layers` are diff IDs, under which unpacked ones lie.

    Attributes:
        pinned: those of the sources that a plan reads, and no step of it made.
    """

    actions: set[Digest] = field(default_factory=set)
    blobs: set[Digest] = field(default_factory=set)
    sources: set[Digest] = field(default_factory=set)
    pinned: set[Digest] = field(default_factory=set)
    layers: set[str] = field(default_factory=set)


def planned(ends: Iterable[Action]) -> Roots:
    """The roots of what these actions come to: they, all that they need, and the files that they read.

    What is fetched only when an image is started or copied counts (`Action.content`).
    """
    found: dict[Digest, Action] = {}
    todo = list(ends)
    while todo:
        for action in todo.pop().walk():
            if action.plan_key not in found:
                found[action.plan_key] = action
                todo += [action.content] if action.content is not None else []
    pins = (pin.digest for action in found.values() for pin in action.pins)
    return Roots(plans=frozenset(found), sources=frozenset(pins))


def mark(store: Store, roots: Roots, young: Iterable[Digest]) -> Marks:
    """Everything that can be reached.

    Args:
        young: keys of actions that are too new to be judged: what their results name is needed.
    """
    return _Marking(store).marked(roots, young)


class _Marking:
    """One marking: all the actions of the store, and what was found to be needed."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known = dict(actions(store))
        self._marks = Marks()

    def marked(self, roots: Roots, young: Iterable[Digest]) -> Marks:
        marks = self._marks
        marks.pinned.update(roots.sources)
        for name in roots.plans:
            self._plan(name)
        for name in young:
            self._entry(name)
        images = self._images(roots.images)
        for name, entry in self._known.items():
            if _manifest(entry["result"]) in images or self._of_pinned(entry):
                self._entry(name)
        marks.sources.update(marks.pinned)
        return marks

    def _of_pinned(self, entry: Mapping[str, Any]) -> bool:
        """Whether it is the bytecode of a package that is pinned, or that was built from one; plans are marked then."""
        if not str(entry["document"].get("kind")).endswith("bytecode"):
            return False
        return any(one in self._marks.pinned or one in self._marks.sources for one in inputs(entry).values())

    def _entry(self, name: Digest) -> None:
        """An action's file, and what its result names."""
        entry = self._known.get(name)
        if entry is None or name in self._marks.actions:
            return
        self._marks.actions.add(name)
        for digest, blob in files_of(entry["result"]):
            (self._marks.blobs if blob else self._marks.sources).add(digest)
        for layer in entry["result"].get("layers", ()):
            self._marks.layers.add(str(layer["diff_id"]))
            if layer.get("foreign"):  # It is only referred to, but may have been fetched.
                self._marks.blobs.add(Digest(layer["digest"]))
                self._marks.sources.add(Digest(layer["digest"]))

    def _plan(self, name: Digest) -> None:
        """An action by its plan key, those that it needs, and what they read."""
        todo, seen = [name], set[Digest]()
        while todo:
            one = todo.pop()
            entry = self._known.get(one)
            if entry is None or one in seen:
                continue
            seen.add(one)
            self._entry(one)
            self._entry(self._own(entry))
            for digest in inputs(entry).values():
                if digest in self._known:
                    todo.append(digest)
                elif self._store.source(digest).exists():
                    self._marks.pinned.add(digest)

    def _own(self, entry: Mapping[str, Any]) -> Digest:
        """The key of an action whose plan key led to `entry`: needs are named by the digests of their results."""
        named = {
            role: key(self._known[digest]["result"]) if digest in self._known else digest
            for role, digest in inputs(entry).items()
        }
        return key({**entry["document"], "inputs": named})

    def _images(self, names: Iterable[Digest]) -> set[Digest]:
        """Manifests and indexes, and all that they name; they may be any tool's. Returns all of them, without files."""
        todo, seen = list(names), set[Digest]()
        while todo:
            one = todo.pop()
            if one not in seen:
                seen.add(one)
                documents, files = named(self._store, one)
                self._marks.blobs.update((one, *files))
                todo += documents
        return seen


def actions(store: Store) -> Iterator[tuple[Digest, dict[str, Any]]]:
    """Every action of the store by its key; what is damaged counts as none."""
    for path in sorted((store.path / "actions").glob("*.json")):
        with suppress(HostileInput, *_NONSENSE):
            name = Digest.parse(f"sha256:{path.stem}")
            entry = store.action(name)
            if entry is not None:
                _judge(entry)
                yield name, entry


def _judge(entry: Mapping[str, Any]) -> None:
    """Raises: HostileInput, or one of _NONSENSE: it is not what a build leaves."""
    inputs(entry)
    _manifest(entry["result"])
    for _ in files_of(entry["result"]):
        pass
    for layer in entry["result"].get("layers", ()):
        Digest.parse(layer["diff_id"])
        Digest.parse(layer["digest"])


def inputs(entry: Mapping[str, Any]) -> dict[str, Digest]:
    """What an action's document reads: plan keys, or digests of sources, by role."""
    return {role: Digest.parse(one) for role, one in entry["document"].get("inputs", {}).items()}


def _manifest(result: Mapping[str, Any]) -> str:
    """The digest of the manifest that an image's action came to, "" of another action."""
    return str(result["manifest"]["digest"]) if "manifest" in result else ""


def named(store: Store, name: Digest) -> tuple[list[Digest], list[Digest]]:
    """What a manifest or an index names: documents like it, and files; nothing where it is gone or something else."""
    path = store.blob(name)
    try:
        if path.stat().st_size > _LARGEST:
            return [], []
        data = path.read_bytes()
        document = json.loads(data) if Digest.of(data) == name else {}
        documents = [*document.get("manifests", ()), *filter(None, [document.get("subject")])]
        files = [*document.get("layers", ()), *filter(None, [document.get("config")])]
        return [Digest.parse(row["digest"]) for row in documents], [Digest.parse(row["digest"]) for row in files]
    except (OSError, HostileInput, *_NONSENSE):
        return [], []
