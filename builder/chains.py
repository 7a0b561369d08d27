"""Why a package is there: chains of packages that require each other, from what is asked for down to it.

A node is a package's name. All of it is about one target and one kind, whose locks say who requires whom.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

Edges = Mapping[str, Collection[str]]
"""Name → the names that it requires."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why a target has a package.

    Attributes:
        image: the image of its family whose lock has it.
        chains: each from the package up to one that is asked for, which is the last; the shortest first, one for each
            that is asked for.
        asked: what asks for the last of each chain: `stacks.toml:41: numpy==2.4.6`.
    """

    kind: str
    name: str
    version: str
    image: str
    chains: tuple[tuple[str, ...], ...]
    asked: tuple[str, ...]


def chains(edges: Edges, asked: Collection[str], name: str) -> tuple[tuple[str, ...], ...]:
    """A shortest chain from `name` up to each asked package that reaches it, the shortest first, then by name.

    Beyond a package that is asked for, no chain goes on: it would be there anyway.
    """
    requirers: dict[str, list[str]] = {}
    for one in sorted(edges):
        for other in edges[one]:
            requirers.setdefault(other, []).append(one)
    below, todo = {name: ""}, deque([name])
    found: list[tuple[str, ...]] = []
    while todo:
        one = todo.popleft()
        if one in asked:
            found.append(tuple(reversed(list(_down(below, one)))))
            if one != name:
                continue
        for requirer in requirers.get(one, ()):
            if requirer not in below:
                below[requirer] = one
                todo.append(requirer)
    return tuple(sorted(found, key=lambda chain: (len(chain), chain)))


def nearest(edges: Edges, asked: Collection[str]) -> dict[str, tuple[str, ...]]:
    """The first of `chains` of every package that has any, all of them at once."""
    found: dict[str, tuple[str, ...]] = {one: (one,) for one in sorted(asked)}
    todo = list(found)
    while todo:
        # The next ring: among chains of one length, the one that comes first by name.
        ring: dict[str, tuple[str, ...]] = {}
        for requirer in todo:
            for one in edges.get(requirer, ()):
                chain = (one, *found[requirer])
                if one not in found and (one not in ring or chain < ring[one]):
                    ring[one] = chain
        found |= ring
        todo = list(ring)
    return found


def _down(below: Mapping[str, str], name: str) -> Iterator[str]:
    while name:
        yield name
        name = below[name]


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """A package in a tree of requirements. `again` means that what it requires was shown before."""

    name: str
    depth: int
    again: bool = False


def tree(edges: Edges, roots: Collection[str], depth: int) -> Iterator[Branch]:
    """The roots and what they require, each package's own requirements once, down to a depth; sorted by name."""
    seen: set[str] = set()

    def walk(name: str, level: int) -> Iterator[Branch]:
        again = name in seen and bool(edges.get(name))
        yield Branch(name=name, depth=level, again=again)
        if again or level == depth:
            return
        seen.add(name)
        for one in sorted(edges.get(name, ())):
            yield from walk(one, level + 1)

    for root in sorted(roots):
        yield from walk(root, 0)
