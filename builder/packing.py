"""Targets that are to be built, packed into the jobs of a CI run, so that what they share is built in one.

targets that share an action which is to be performed ── one heap, of one platform
a heap that takes too long                            ── its targets, in pieces; what they share is made in each
more heaps than jobs                                  ── the lightest together
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from itertools import count

import networkx

from builder.action import Action
from builder.manifest.model import Target

_LONGEST = 20
"""Minutes of a heap above which its targets part."""
_LARGEST = 14_000_000_000
"""Bytes of disk likewise: what GitHub promises of its own runners' disks."""
_BEGIN = 2.0
"""Minutes that a job takes before it builds: a checkout, an environment, the sources of what is not changed."""
_PER_MB = 0.15 / 60
"""Minutes to fetch and lay a megabyte of packages: the catalogue's 9.2 GB take two cores about 9 minutes where the
sources are at hand; a runner has to fetch them and is slower."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What one machine builds.

    Attributes:
        minutes: estimated, two cores and sources to fetch.
        disk: bytes that it takes, estimated from locks.
    """

    targets: tuple[Target, ...]
    minutes: int
    disk: int


def pack(
    todo: Mapping[Target, Iterable[Action]],
    space: Mapping[Action, int],
    *,
    most: int,
    longest: int = _LONGEST,
    largest: int = _LARGEST,
) -> tuple[Job, ...]:
    """Jobs that build every target, in the order of their first.

    Args:
        todo: what has to be performed for each target.
        space: bytes of disk that performing takes beside its sources.
        most: how many jobs there may be; at least one for each platform.
        longest, largest: minutes and bytes of disk that targets are laid together for.
    """
    needed = {target: frozenset(actions) for target, actions in todo.items()}
    order = {target: number for number, target in enumerate(todo)}

    def disk(targets: Iterable[Target]) -> int:
        return sum(space[each] + _size(each) for each in _of(targets, needed))

    def fits(targets: Iterable[Target]) -> bool:
        return _minutes(targets, needed) <= longest and disk(targets) <= largest

    heaps = [piece for heap in _sharing(needed) for piece in _parted(sorted(heap, key=order.__getitem__), fits)]
    packed = [tuple(sorted(heap, key=order.__getitem__)) for heap in _merged(heaps, needed, most)]
    return tuple(
        Job(targets=one, minutes=_minutes(one, needed), disk=disk(one))
        for one in sorted(packed, key=lambda one: order[one[0]])
    )


_Needed = Mapping[Target, frozenset[Action]]


def _sharing(needed: _Needed) -> Iterator[list[Target]]:
    """Targets of one platform that share something, directly or through others."""
    graph: networkx.Graph[object] = networkx.Graph()
    for target, actions in needed.items():
        graph.add_node(target)
        graph.add_edges_from((target, (target.platform, action.plan_key)) for action in actions)
    for part in networkx.connected_components(graph):
        if found := [one for one in part if isinstance(one, Target)]:
            yield found


def _parted(heap: list[Target], fits: Callable[[list[Target]], bool]) -> Iterator[list[Target]]:
    """The heap in pieces that fit, as far as its targets let it."""
    piece: list[Target] = []
    for target in heap:
        if piece and not fits([*piece, target]):
            yield piece
            piece = []
        piece.append(target)
    yield piece


def _merged(heaps: list[list[Target]], needed: _Needed, most: int) -> Iterator[list[Target]]:
    """At most so many, the two lightest of a platform laid together until they are."""
    by_platform: dict[str, list[tuple[int, int, list[Target]]]] = {}
    number = count()
    for heap in heaps:
        found = by_platform.setdefault(heap[0].platform, [])
        found.append((_minutes(heap, needed), next(number), heap))
    for found in by_platform.values():
        heapify(found)
    while sum(map(len, by_platform.values())) > max(most, len(by_platform)):
        found = max(by_platform.values(), key=len)
        (_, _, one), (_, _, other) = heappop(found), heappop(found)
        heappush(found, (_minutes([*one, *other], needed), next(number), [*one, *other]))
    for found in by_platform.values():
        yield from (heap for _, _, heap in found)


def _of(targets: Iterable[Target], needed: _Needed) -> frozenset[Action]:
    return frozenset().union(*(needed[one] for one in targets))


def _minutes(targets: Iterable[Target], needed: _Needed) -> int:
    return round(_BEGIN + _PER_MB * sum(map(_size, _of(targets, needed))) / 1e6 + 0.5)


def _size(action: Action) -> int:
    return sum(pin.size for pin in action.pins)
