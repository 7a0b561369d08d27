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
_FETCH = 12.5e6
"""Bytes that a runner fetches in a second: assumed, and little."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What performing an action takes, beside fetching its sources, which counts once for all that read them.

    Attributes:
        seconds: of two cores, if nothing else runs.
        disk: bytes.
    """

    seconds: float
    disk: int


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
    costs: Mapping[Action, Cost],
    *,
    most: int,
    longest: int = _LONGEST,
    largest: int = _LARGEST,
) -> tuple[Job, ...]:
    """Jobs that build every target, in the order of their first.

    Args:
        todo: what has to be performed for each target.
        costs: of each of these.
        most: how many jobs there may be; at least one for each platform.
        longest, largest: minutes and bytes of disk that targets are laid together for.
    """
    needed = {target: frozenset(actions) for target, actions in todo.items()}
    order = {target: number for number, target in enumerate(todo)}

    def job(targets: Iterable[Target]) -> Job:
        actions = frozenset[Action]().union(*(needed[one] for one in targets))
        fetched = sum({pin.digest: pin.size for each in actions for pin in each.pins}.values())
        seconds = sum(sorted(costs[each].seconds for each in actions)) + fetched / _FETCH
        return Job(
            targets=tuple(sorted(targets, key=order.__getitem__)),
            minutes=round(_BEGIN + seconds / 60 + 0.5),
            disk=fetched + sum(costs[each].disk for each in actions),
        )

    def fits(targets: Iterable[Target]) -> bool:
        found = job(targets)
        return found.minutes <= longest and found.disk <= largest

    heaps = [piece for heap in _sharing(needed) for piece in _parted(sorted(heap, key=order.__getitem__), fits)]
    return tuple(sorted(_merged([job(heap) for heap in heaps], job, most), key=lambda one: order[one.targets[0]]))


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


def _merged(heaps: list[Job], job: Callable[[list[Target]], Job], most: int) -> Iterator[Job]:
    """At most so many, the two lightest of a platform laid together until they are."""
    by_platform: dict[str, list[tuple[int, int, Job]]] = {}
    number = count()
    for heap in heaps:
        found = by_platform.setdefault(heap.targets[0].platform, [])
        found.append((heap.minutes, next(number), heap))
    for found in by_platform.values():
        heapify(found)
    while sum(map(len, by_platform.values())) > max(most, len(by_platform)):
        found = max(by_platform.values(), key=len)
        (_, _, one), (_, _, other) = heappop(found), heappop(found)
        both = job([*one.targets, *other.targets])
        heappush(found, (both.minutes, next(number), both))
    for found in by_platform.values():
        yield from (heap for _, _, heap in found)
