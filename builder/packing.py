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
from typing import NamedTuple

from networkx.utils import UnionFind

from builder.digest import Digest
from builder.keytable import Step
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
    todo: Mapping[Target, Iterable[Step]],
    *,
    most: int,
    longest: int = _LONGEST,
    largest: int = _LARGEST,
) -> tuple[Job, ...]:
    """Jobs that build every target, in the order of their first.

    Args:
        todo: what has to be performed for each target.
        most: how many jobs there may be; at least one for each platform.
        longest, largest: minutes and bytes of disk that targets are laid together for.
    """
    needed = {target: {one.key: one for one in steps} for target, steps in todo.items()}
    order = {target: number for number, target in enumerate(todo)}

    def job(targets: Iterable[Target]) -> Job:
        load = _Load()
        found = sorted(targets, key=order.__getitem__)
        for target in found:
            load.add(needed[target])
        return load.job(found)

    def parted(heap: list[Target]) -> Iterator[Job]:
        """The heap in pieces that fit, as far as its targets let it."""
        load, piece = _Load(), list[Target]()
        for target in heap:
            more = load.with_(needed[target])
            if piece and (more.minutes > longest or more.disk > largest):
                yield load.job(piece)
                load, piece = _Load(), []
            load.add(needed[target])
            piece.append(target)
        yield load.job(piece)

    heaps = [piece for heap in _sharing(needed) for piece in parted(sorted(heap, key=order.__getitem__))]
    return tuple(sorted(_merged(heaps, job, most), key=lambda one: order[one.targets[0]]))


_Needed = Mapping[Target, Mapping[Digest, Step]]


class _Sum(NamedTuple):
    """What steps come to."""

    seconds: float
    disk: int

    @property
    def minutes(self) -> int:
        return round(_BEGIN + self.seconds / 60 + 0.5)


class _Load:
    """What one machine has to do for some targets; a step that two share is counted once, and so is a file."""

    def __init__(self) -> None:
        self._sum = _Sum(0.0, 0)
        self._steps: set[Digest] = set()
        self._files: set[str] = set()

    def with_(self, steps: Mapping[Digest, Step]) -> _Sum:
        """What it would be with these steps too."""
        new = [step for key, step in steps.items() if key not in self._steps]
        files = {name: size for one in new for name, size in one.pins.items() if name not in self._files}
        fetched = sum(files.values())
        return _Sum(
            self._sum.seconds + sum(one.seconds for one in new) + fetched / _FETCH,
            self._sum.disk + sum(one.disk for one in new) + fetched,
        )

    def add(self, steps: Mapping[Digest, Step]) -> None:
        self._sum = self.with_(steps)
        self._steps.update(steps)
        self._files.update(name for one in steps.values() for name in one.pins)

    def job(self, targets: list[Target]) -> Job:
        return Job(targets=tuple(targets), minutes=self._sum.minutes, disk=self._sum.disk)


def _sharing(needed: _Needed) -> Iterator[list[Target]]:
    """Targets of one platform that share something, directly or through others."""
    joined: UnionFind[Target] = UnionFind(needed)
    first: dict[str, dict[Digest, Target]] = {}
    for target, steps in needed.items():
        seen = first.setdefault(target.platform, {})
        joined.union(target, *{seen.setdefault(key, target) for key in steps})
    heaps: dict[Target, list[Target]] = {}
    for target in needed:
        heaps.setdefault(joined[target], []).append(target)
    yield from heaps.values()


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
