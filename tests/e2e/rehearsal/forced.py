"""Whether what moved beside a bump had to: judged by the requirements in the locks, with `packaging` alone.

Each package that moved may have its old version or its new one; one that came or went may be there or not. Of all
these choices those are solutions in which everything that the requests reach is there, in a version that all who ask
for it take. The lock is minimal if no solution differs from the old lock in fewer packages.

    choices = old or new of each that moved ──► reach from the requests ──► sound? ──► how many differ from the old lock

What this cannot see is a third version, which is the solver's to find: see `spared`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Final

from packaging.requirements import Requirement

from tests.e2e.rehearsal.texts import Chain, Locks, Pin, name_of

MOST: Final = 14
"""Packages that moved in one lock, as many as whose choices are all tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One lock before and after, and what its image inherits.

    Attributes:
        above: what the ancestors have after.
        requests: after.
        bumped: names that were to move.
    """

    old: Mapping[str, Pin]
    new: Mapping[str, Pin]
    above: Mapping[str, Pin]
    requests: tuple[Requirement, ...]
    bumped: frozenset[str]

    @property
    def changed(self) -> frozenset[str]:
        """Names that came, went or moved, those that were to move left out."""
        both = self.old.keys() | self.new.keys()
        differ = {name for name in both if _version(self.old.get(name)) != _version(self.new.get(name))}
        return frozenset(differ - self.bumped)


def _version(pin: Pin | None) -> str:
    return pin.version if pin else ""


def step(chain: Chain, before: Locks, after: Locks, bumped: frozenset[str]) -> Step:
    """The last image of a chain."""
    own = after.own(*chain[-1])
    return Step(
        old=before.own(*chain[-1]).pins,
        new=own.pins,
        above={name: pin for name, (_, pin) in after.has(chain[:-1]).items()},
        requests=own.requests,
        bumped=bumped,
    )


def faults(step: Step) -> tuple[str, ...]:
    """What keeps the lock after from being a solution: something missing, not fitting, or needed by nobody."""
    found: list[str] = []
    reached = _reach(step, step.new, found)
    return (*found, *(f"nobody needs {name}" for name in sorted(step.new.keys() - reached)))


def unforced(step: Step) -> tuple[str, ...]:
    """The names that moved, came or went, and need not have, all others being as they are or as they were.

    Raises:
        AssertionError: more moved than can be tried.
    """
    moved = sorted(name for name in step.changed if name in step.old and name in step.new)
    assert len(moved) <= MOST, f"{len(moved)} packages moved"
    actual = len(step.changed)
    best, spared = actual, frozenset[str]()
    for choice in product((False, True), repeat=len(moved)):
        stay = {name for name, stays in zip(moved, choice, strict=True) if stays}
        pins = {**step.old, **step.new, **{name: step.old[name] for name in stay}}
        found: list[str] = []
        reached = _reach(step, pins, found)
        if found:
            continue
        differ = {
            name
            for name in (reached | step.old.keys()) - step.bumped
            if _version(step.old.get(name)) != (pins[name].version if name in reached else "")
        }
        if len(differ) < best:
            best, spared = len(differ), step.changed - differ
    return tuple(sorted(spared))


def _reach(step: Step, pins: Mapping[str, Pin], faults: list[str]) -> set[str]:
    """The names of this lock that its requests reach, with these versions; what does not fit is added to `faults`."""
    reached: set[str] = set()
    queue: list[tuple[str, Requirement]] = [("stacks.toml", one) for one in step.requests]
    queue += _through_inherited(step, pins)
    while queue:
        who, asked = queue.pop()
        name = name_of(asked)
        pin = step.above.get(name) or pins.get(name)
        if pin is None:
            faults.append(f"{who} needs {asked}, which is not there")
        elif not asked.specifier.contains(pin.version, prereleases=True):
            faults.append(f"{who} needs {asked}, and {pin.version} is there")
        if pin is not None and name not in step.above and name not in reached:
            reached.add(name)
            queue += [(name, one) for one in pin.requires]
    return reached


def _through_inherited(step: Step, pins: Mapping[str, Pin]) -> Iterator[tuple[str, Requirement]]:
    """What an extra of an inherited package needs, of which the child's lock has only the name that asks."""
    for pin in pins.values():
        yield from ((who, Requirement(pin.name)) for who in pin.via if who in step.above)


def reasons(step: Step, names: Iterable[str]) -> dict[str, str]:
    """Name → what the old version does not fit, all others being new; "" where nothing is in its way."""
    found = {}
    for name in names:
        if name not in step.old or name not in step.new:
            found[name] = "nobody needs it any more" if name in step.old else "it is needed now"
            continue
        told: list[str] = []
        _reach(step, {**step.new, name: step.old[name]}, told)
        found[name] = told[0] if told else ""
    return found
