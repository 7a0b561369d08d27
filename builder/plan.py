"""The plan: a directed acyclic graph of actions, and what of it is stale. The only importer of networkx.

    action ──needs──▶ action      edges point from an input to what reads it

An action is stale when its plan key is not in the store; it is *needed* when it is stale itself and something that is
wanted reads it. What nobody stale reads is never touched, even if its own entry is gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import networkx as nx

from builder.action import Action
from builder.digest import Digest
from builder.store import Store


@dataclass(frozen=True, slots=True)
class Plan:
    """Actions by plan key, with their edges. Equal plan keys are one node, whatever target they belong to."""

    graph: nx.DiGraph[Digest]

    @classmethod
    def of(cls, wanted: Iterable[Action]) -> Plan:
        """The plan that ends in the wanted actions."""
        graph: nx.DiGraph[Digest] = nx.DiGraph()
        for end in wanted:
            for action in end.walk():
                if action.plan_key in graph:
                    continue
                graph.add_node(action.plan_key, action=action)
                for need in action.needs.values():
                    graph.add_edge(need.plan_key, action.plan_key)
        return cls(graph)

    def action(self, key: Digest) -> Action:
        found: Action = self.graph.nodes[key]["action"]
        return found

    def order(self) -> Iterator[Action]:
        """Every action, inputs first; ties by name, so that the order is a function of the plan."""
        ordered = nx.lexicographical_topological_sort(self.graph, key=lambda key: (self.action(key).name, key))
        return (self.action(key) for key in ordered)

    def stale(self, store: Store, wanted: Iterable[Action]) -> frozenset[Digest]:
        """The plan keys that must be looked at: stale, and read by a wanted action over stale ones only."""
        found: set[Digest] = set()
        todo = [action.plan_key for action in wanted]
        while todo:
            key = todo.pop()
            if key in found or intact(store, key):
                continue
            found.add(key)
            todo += self.graph.predecessors(key)
        return frozenset(found)

    def readers(self, key: Digest) -> Iterator[Digest]:
        """The actions that read this one directly."""
        yield from sorted(self.graph.successors(key))

    def needs(self, key: Digest) -> Iterator[Digest]:
        """The actions that this one reads directly."""
        yield from sorted(self.graph.predecessors(key))


def intact(store: Store, key: Digest) -> bool:
    """Whether an action's result is in the store together with the blobs it names."""
    found = store.action(key)
    return found is not None and present(store, found["result"])


def present(store: Store, result: object) -> bool:
    """Whether every blob that a result names is there; their bytes are checked when they are read.

    A foreign layer is only referred to: its blob is wherever its image is, until something reads it.
    """
    return isinstance(result, dict) and all(path_of(store, digest, blob).exists() for digest, blob in files_of(result))


def path_of(store: Store, digest: Digest, blob: bool) -> Path:
    """Where a file that a result names lies in a store, or would lie."""
    return store.blob(digest) if blob else store.source(digest)


def files_of(result: Mapping[str, Any]) -> Iterator[tuple[Digest, bool]]:
    """The files that a result names, and whether each is a blob of an image or lies among the sources.

    Raises:
        HostileInput: a digest is none.
    """
    for name in ("wheel", "bytecode"):
        if result.get(name):
            yield Digest.parse(result[name]), False
    if "manifest" in result:
        yield Digest.parse(result["manifest"]["digest"]), True
        yield Digest.parse(result["config"]), True
    for layer in result.get("layers", ()):
        if not layer.get("foreign"):
            yield Digest.parse(layer["digest"]), True
            yield Digest.parse(layer["listing"]), False
