"""Which packages answer a request: apt's own choice where it works, and a search behind it where it does not.

    agenda:  every essential and requested package first, so that alternatives prefer them;
             then their clauses, depth first: Pre-Depends, Depends, Recommends, each in the archive's order.
    clause:  satisfied already → next. Else its candidates, as apt sorts them (apt-pkg/depcache.cc,
             CompareProviders): by alternative; within one, the package of that name before its providers,
             essential ones first, then by priority, then the one that the index lists last. What the old lock
             holds goes first of all.
    version: the old lock's, while the archive has it and no upgrade names it; then the highest, then others.
    dead end: no candidate can stand beside what is chosen. Everything that took part in the failure is the
             *conflict set*; choices outside of it are skipped (conflict-directed backjumping, Prosser 1993).
             A recommendation is given up instead.

apt itself never goes back to an earlier choice but scores and drops packages instead, so where the first way
fails the two may differ; what is found here is always a solution, and never removes a request.

Drawbacks: the search ends after `STEPS` choices, which only a large, deeply contradictory request needs; it
looks for the first solution in apt's order, not for the smallest one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from builder.errors import StackbuildError
from builder.kinds.apt import explain
from builder.kinds.apt.explain import ESSENTIAL, REQUEST, DeadEnd
from builder.kinds.apt.installed import Installed
from builder.kinds.apt.package import Package
from builder.kinds.apt.relation import Atom, Clause
from builder.kinds.apt.universe import Universe

STEPS = 20_000
"""Choices tried before the search is given up; a usual request takes as many as it has packages."""

_ROOTS = (REQUEST, ESSENTIAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What is to be solved.

    Attributes:
        requests: atoms with operator `=` or none, each name once.
        inherited: the ancestors' packages: they may be neither moved nor removed.
        keep: version by name, of the old lock: preferred, never forced.
        newest: names of which only the highest version counts: an upgrade that was asked for by name.
        root: add every Essential package (mmdebstrap's variant `essential`).
        recommends: add what is recommended too, where it can be added.
    """

    universe: Universe
    requests: tuple[Atom, ...]
    inherited: tuple[Package, ...] = ()
    keep: Mapping[str, str] = field(default_factory=dict)
    newest: frozenset[str] = frozenset()
    root: bool = False
    recommends: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """Packages to add, sorted by name, and who brought each: a package, `stacks.toml` or `essential`."""

    packages: tuple[Package, ...]
    via: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Goal:
    """A clause that `owner` needs; an empty clause stands for "now the clauses of `owner`"."""

    owner: str
    clause: Clause
    needed: bool = True


_Agenda: TypeAlias = "tuple[_Goal, _Agenda] | None"
"""A linked list, so that going back costs nothing."""


@dataclass(slots=True)
class _Choice:
    """One open decision: what comes after it, candidates not yet tried, and what spoke against the others."""

    goal: _Goal
    rest: _Agenda
    candidates: Iterator[Package]
    chosen: Package | None = None
    conflict: set[str] = field(default_factory=set)
    rejected: list[tuple[Package, str]] = field(default_factory=list)
    deeper: DeadEnd | None = None
    given_up: bool = False


def solve(problem: Problem) -> Solution:
    """Choose the packages.

    Raises:
        StackbuildError: a name is unknown, or no choice was found; what speaks against it is told with the
            chain of who needs whom.
        HostileInput: an entry of the archive is malformed.
    """
    explain.refuse_unknown(problem.universe, problem.requests, problem.inherited)
    return _Search(problem).run()


class _Search:
    """The state of one search: what is chosen, by whom, and the open decisions."""

    def __init__(self, problem: Problem) -> None:
        self._universe = problem.universe
        self._keep = problem.keep
        self._newest = problem.newest
        self._requests = {atom.name: atom for atom in problem.requests}
        self._inherited = problem.inherited
        self._essential = problem.universe.essential() if problem.root else []
        self._recommends = problem.recommends
        self._installed = Installed(problem.inherited)
        self._via: dict[str, str] = {}
        self._choices: list[_Choice] = []

    def run(self) -> Solution:
        agenda = self._start()
        for _ in range(STEPS):
            goal, agenda = self._next(agenda)
            if goal is None:
                return self._solution()
            self._choices.append(_Choice(goal=goal, rest=agenda, candidates=self._candidates(goal)))
            agenda = self._advance()
        raise StackbuildError(
            "no package set found: the request contradicts itself too deeply",
            where="asked: " + " ".join(sorted(map(str, self._requests.values()))),
            got=f"{STEPS} choices tried",
            next_step="ask for fewer packages, or pin one of them (name==version)",
        )

    def _start(self) -> _Agenda:
        """Roots first, then their clauses; both as `apt-get install` does with names in this order."""
        wanted = [(ESSENTIAL, Atom(name=name)) for name in self._essential if name not in self._requests]
        wanted += [(REQUEST, self._requests[name]) for name in sorted(self._requests)]
        agenda: _Agenda = None
        for _, atom in reversed(wanted):
            agenda = (_Goal(atom.name, ()), agenda)
        for owner, atom in reversed(wanted):
            agenda = (_Goal(owner, (atom,)), agenda)
        return agenda

    def _next(self, agenda: _Agenda) -> tuple[_Goal | None, _Agenda]:
        """The first goal that is not met yet, and what comes after it."""
        while agenda is not None:
            goal, agenda = agenda
            if not goal.clause:
                # An inherited package's own needs were met by its image's lock.
                owner = self._installed.get(goal.owner)
                if owner is not None and not owner.image:
                    agenda = self._push(owner, agenda)
            elif not self._met(goal):
                return goal, agenda
        return None, None

    def _met(self, goal: _Goal) -> bool:
        """A dependency may be met by a Provides; what was asked for by name must be there itself."""
        if goal.owner not in _ROOTS:
            return self._installed.satisfier(goal.clause) is not None
        there = self._installed.get(goal.clause[0].name)
        return there is not None and there.offers(goal.clause[0])

    def _advance(self) -> _Agenda:
        """Take the last open decision's next candidate, going back as far as needed; give the new agenda."""
        while self._choices:
            choice = self._choices[-1]
            if choice.chosen is not None:
                self._drop(choice)
            for candidate in choice.candidates:
                reason = self._obstacle(candidate, choice)
                if reason:
                    choice.rejected.append((candidate, reason))
                    continue
                choice.chosen = candidate
                self._installed.add(candidate)
                self._via[candidate.name] = choice.goal.owner
                if choice.goal.owner in _ROOTS:
                    return choice.rest
                return self._push(candidate, choice.rest)
            if not choice.goal.needed and not choice.given_up:
                choice.given_up = True
                return choice.rest
            self._jump_back(choice)
        raise AssertionError("the first decision failed without saying so")

    def _obstacle(self, candidate: Package, choice: _Choice) -> str:
        """Why a candidate cannot be added now, noted in the choice's conflict set; empty if it can."""
        there = self._installed.get(candidate.name)
        if there is not None:
            choice.conflict.add(there.name)
            return explain.already(there)
        clash = self._installed.clash(candidate)
        if clash is None:
            return ""
        other = clash.other if clash.owner is candidate else clash.owner
        choice.conflict.add(other.name)
        return explain.clashes(clash, self._chain(other.name))

    def _jump_back(self, failed: _Choice) -> None:
        """Undo decisions up to the latest one that took part in the failure."""
        goal = failed.goal
        dead = DeadEnd(
            owner=self._installed.get(goal.owner),
            chain=self._chain(goal.owner),
            clause=goal.clause,
            rejected=tuple(failed.rejected),
            deeper=failed.deeper,
        )
        blame = failed.conflict | {goal.owner}
        self._choices.pop()
        while self._choices:
            choice = self._choices[-1]
            if choice.chosen is not None:
                if choice.chosen.name in blame:
                    choice.conflict |= blame - {choice.chosen.name}
                    choice.deeper = dead
                    return
                self._drop(choice)
            self._choices.pop()
        raise explain.failure(dead, self._universe, self._installed)

    def _drop(self, choice: _Choice) -> None:
        assert choice.chosen is not None
        self._installed.remove(choice.chosen)
        del self._via[choice.chosen.name]
        choice.chosen = None

    def _candidates(self, goal: _Goal) -> Iterator[Package]:
        """Packages that meet the clause, apt's first choice first, other versions of them last."""
        if goal.owner in _ROOTS:
            return iter(self._versions(goal.clause[0].name))
        best: list[Package] = []
        others: list[Package] = []
        for atom in goal.clause:
            names = dict.fromkeys((atom.name, *self._universe.providers(atom.name)))
            matching = []
            for name in names:
                versions = self._versions(name)
                offering = [one for one in versions if one.offers(atom)]
                if offering and offering[0] is versions[0]:
                    matching.append(offering.pop(0))
                others += offering
            # apt decides the last tie by when it first read of a package; its own entry comes close enough.
            matching.sort(key=lambda one: self._universe.position(one.name), reverse=True)
            matching.sort(key=lambda one: (one.name != atom.name, not one.essential, one.priority))
            best += matching
        best.sort(key=lambda one: one.name not in self._keep)
        distinct: dict[tuple[str, str], Package] = {}
        for one in (*best, *others):
            distinct.setdefault((one.name, one.version), one)
        return iter(distinct.values())

    def _versions(self, name: str) -> tuple[Package, ...]:
        """Versions that may be chosen, the preferred one first."""
        found = self._universe.versions(name)
        asked = self._requests.get(name)
        if asked is not None and asked.operator:
            found = tuple(one for one in found if one.offers(asked))
        if name in self._newest:
            return found[:1]
        kept = self._keep.get(name)
        return tuple(sorted(found, key=lambda one: one.version != kept)) if kept else found

    def _chain(self, name: str) -> tuple[str, ...]:
        """Who needs whom, from a request down to `name`."""
        found = [name]
        while (owner := self._via.get(found[-1])) is not None:
            found.append(owner)
        return tuple(reversed(found))

    def _solution(self) -> Solution:
        added = [one for one in self._installed.packages() if not one.image]
        return Solution(
            packages=tuple(sorted(added, key=lambda one: one.name)),
            via={one.name: self._via[one.name] for one in added},
        )

    def _push(self, package: Package, agenda: _Agenda) -> _Agenda:
        """What a package needs, in front of the agenda."""
        for clause in reversed(package.wishes if self._recommends else ()):
            agenda = (_Goal(package.name, clause, needed=False), agenda)
        for clause in reversed(package.needs):
            agenda = (_Goal(package.name, clause), agenda)
        return agenda
