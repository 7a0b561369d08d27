"""Requests into pins: the one step of this kind that trusts a moving network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from builder.errors import HostileInput
from builder.kinds.apt import request
from builder.kinds.apt.archive import Universes
from builder.kinds.apt.explain import ESSENTIAL, REQUEST
from builder.kinds.apt.installed import Installed
from builder.kinds.apt.lockfile import Header
from builder.kinds.apt.package import Package, of_pin
from builder.kinds.apt.solve import Problem, solve
from builder.kinds.apt.universe import Universe
from builder.lock import Lock, Pin
from builder.manifest.settings import Archive

ALL: Final = frozenset({"*"})
"""As `AptQuestion.upgrade`: every pin may move."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AptQuestion:
    """What one target asks.

    Attributes:
        architecture: Debian's name for the target's (`amd64`, `arm64`).
        request: `name` or `name==version`.
        inherited: image names and locks of the ancestors, root first. Empty: this is a root image, which gets
            every Essential package too (mmdebstrap's variant `essential`).
        existing: the old lock: its versions are kept while the archive has them.
        recommends: whether what packages only recommend is added too.
        upgrade: names that must be of the highest version, or `ALL`: no old pin counts.
        exclude_newer: the cutoff, UTC.
        exempt: names of archives that may be newer than the cutoff.
    """

    archive: Archive
    architecture: str
    request: tuple[str, ...]
    inherited: tuple[tuple[str, Lock], ...] = ()
    existing: Lock | None = None
    recommends: bool = False
    upgrade: frozenset[str] = frozenset()
    exclude_newer: datetime | None = None
    exempt: frozenset[str] = frozenset()

    @property
    def cutoff(self) -> datetime | None:
        """`exclude_newer`, unless this archive is exempt."""
        return None if self.archive.name in self.exempt else self.exclude_newer

    @property
    def header(self) -> Header:
        """The header of the lock that answers this question."""
        return Header(
            archive=self.archive.name,
            architecture=self.architecture,
            suites=self.archive.suites,
            components=self.archive.components,
            recommends=self.recommends,
        )


def resolve(question: AptQuestion, universes: Universes) -> Lock:
    """The lock that answers one question. May be called from many threads with one `universes`.

    Raises:
        StackbuildError: the archive cannot be read, or there is no solution.
    """
    atoms = request.parse(question.request, question.architecture)
    inherited = tuple(of_pin(pin, image=image) for image, lock in question.inherited for pin in lock.pins)
    universe = universes.get(question.archive, question.architecture, question.cutoff)
    old = {pin.name: pin for pin in question.existing.pins} if question.existing is not None else {}
    _refuse_older(universe, old, question)
    keep = {name: pin.version for name, pin in old.items() if not question.upgrade & {name, *ALL}}
    solution = solve(
        Problem(
            universe=universe,
            requests=atoms,
            inherited=inherited,
            keep=keep,
            newest=question.upgrade,
            root=not question.inherited,
            recommends=question.recommends,
        )
    )
    there = Installed((*inherited, *solution.packages))
    pins = tuple(_pin(one, solution.via[one.name], old.get(one.name), there) for one in solution.packages)
    return Lock(request=tuple(sorted(set(question.request))), pins=pins)


def _pin(package: Package, via: str, old: Pin | None, there: Installed) -> Pin:
    """The pin of a chosen package; where it did not move, the old lock's text stays as it was.

    Raises:
        HostileInput: the archive has other bytes under the version that was locked.
    """
    if via not in (REQUEST, ESSENTIAL) and old is not None and len(old.via) == 1:
        # Who brought it first depends on the order of the search; the old answer stands while it is true.
        bringer = there.get(old.via[0])
        if bringer is not None and any(there.satisfier(clause) is package for clause in bringer.needs):
            via = old.via[0]
    if old is None or old.version != package.version:
        return replace(package.pin, via=(via,))
    if old.digest != package.pin.digest:
        raise HostileInput(
            f"{package} has other bytes than when it was locked",
            expected=old.digest,
            got=package.pin.digest,
            next_step=f"find out why; if it is right: stackbuild lock --upgrade-package {package.name}",
        )
    return replace(old, via=(via,))


def _refuse_older(universe: Universe, old: Mapping[str, Pin], question: AptQuestion) -> None:
    """A mirror that went back in time would take security fixes away (a replay, or a mirror out of date).

    Raises:
        HostileInput: a suite's Release is older than what the old lock was made from, though the cutoff
            allows that.
    """
    for pin in old.values():
        suite, locked = pin.field("X-Suite"), pin.field("X-Release")
        found = universe.suites.get(suite)
        allowed = question.cutoff is None or locked <= f"{question.cutoff:%Y%m%dT%H%M%SZ}"
        if found is not None and found < locked and allowed:
            raise HostileInput(
                f"archive {universe.source} went back in time: {suite}",
                where=f"{pin.name} {pin.version} was locked from its Release of {locked}",
                expected=f"a Release of {locked} or later",
                got=f"Release of {found}",
                next_step="use another mirror, or wait until this one has caught up",
            )
