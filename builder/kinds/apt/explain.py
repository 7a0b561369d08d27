"""Why a request has no solution, in words: both sides of a conflict, and the chain of who needs whom."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from builder.errors import Problems, StackbuildError
from builder.kinds.apt import relation
from builder.kinds.apt.installed import Clash, Installed
from builder.kinds.apt.package import Package
from builder.kinds.apt.relation import Atom, Clause
from builder.kinds.apt.universe import Universe

REQUEST = "stacks.toml"
"""The `via` of what the manifest asks for."""
ESSENTIAL = "essential"
"""The `via` of what a root image has because it is `Essential: yes`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadEnd:
    """A clause that nothing could meet.

    Attributes:
        owner: the package that needs it; None for a request.
        chain: names from the request down to the owner.
        rejected: candidates and why not.
        deeper: the dead end that made the last accepted candidate fail.
    """

    owner: Package | None
    chain: tuple[str, ...]
    clause: Clause
    rejected: tuple[tuple[Package, str], ...]
    deeper: DeadEnd | None


def refuse_unknown(universe: Universe, requests: Iterable[Atom], inherited: Iterable[Package]) -> None:
    """Report every requested name or version that the archive does not have, all at once.

    Raises:
        StackbuildError: there is one; `Problems` for several.
    """
    there = {one.name: one for one in inherited}
    problems = [_unknown(universe, atom) for atom in requests if atom.name not in there]
    found = [problem for problem in problems if problem is not None]
    if len(found) > 1:
        raise Problems(found)
    if found:
        raise found[0]


def _unknown(universe: Universe, atom: Atom) -> StackbuildError | None:
    if atom.name not in universe:
        if providers := universe.providers(atom.name):
            return StackbuildError(
                f"{atom.name} is a virtual package",
                got="provided by " + ", ".join(sorted(providers)[:10]),
                next_step="ask for one of them by name",
            )
        near = get_close_matches(atom.name, universe.names(), n=3, cutoff=0.75)
        return StackbuildError(
            f"no package is called {atom.name}",
            where=_suites(universe),
            got="did you mean " + " or ".join(near) + "?" if near else "no name resembles it",
            next_step="correct the name in stacks.toml, or add the suite that has it",
        )
    versions = universe.versions(atom.name)
    if not any(one.offers(atom) for one in versions):
        return StackbuildError(
            f"no such version: {atom.name} {atom.version}",
            where=_suites(universe),
            expected=f"{atom.name} {atom.version}",
            got=_offered(versions),
            next_step="ask for one of these, or move exclude-newer to a day when the archive had it",
        )
    return None


def _suites(universe: Universe) -> str:
    listed = ", ".join(f"{suite} of {release}" for suite, release in universe.suites.items())
    return f"archive {universe.source}: {listed}"


def _offered(versions: Iterable[Package]) -> str:
    return ", ".join(f"{one} ({one.pin.field('X-Suite')})" for one in versions)


def already(there: Package) -> str:
    """Why a second version of a package is not possible."""
    if there.image:
        return f"{there.name} {there.version} is pinned by its ancestor {there.image}"
    return f"{there} is chosen already"


def clashes(clash: Clash, chain: tuple[str, ...]) -> str:
    """Why a candidate cannot stand beside what is there; `chain` leads to the latter."""
    return f"{clash}; needed so: {' → '.join(chain)}" if len(chain) > 1 else str(clash)


def failure(dead: DeadEnd, universe: Universe, installed: Installed) -> StackbuildError:
    """The error of a request without solution: the innermost dead end, the chain to it, and a remedy."""
    while dead.deeper is not None:
        dead = dead.deeper
    wanted = relation.show(dead.clause)
    owner = str(dead.owner) if dead.owner is not None else dead.chain[-1]
    rejected = [f"{one}: {why}" for one, why in dead.rejected]
    pinned = [there for atom in dead.clause if (there := installed.get(atom.name)) is not None and there.image]
    where = f"because {' → '.join(dead.chain)}"
    if pinned:
        there = pinned[0]
        return StackbuildError(
            f"child may not move its parent: {owner} needs {wanted}, {there.image} pins {there.version}",
            where=where,
            got="\n".join(rejected) or _lacking(dead.clause, universe),
            next_step=f"stackbuild lock {there.image} --upgrade-package {there.name}",
        )
    if rejected:
        return StackbuildError(
            f"packages conflict: {owner} needs {wanted}",
            where=where,
            got="\n".join(rejected),
            next_step="take one side out of stacks.toml, or pin a version of it that fits",
        )
    return StackbuildError(
        f"unmet dependency: {owner} needs {wanted}",
        where=f"{where}\n{_suites(universe)}",
        got=_lacking(dead.clause, universe),
        next_step="add the suite or component that has it, or take the request out of stacks.toml",
    )


def _lacking(clause: Clause, universe: Universe) -> str:
    rows = []
    for atom in clause:
        offered = _offered(universe.versions(atom.name))
        rows.append(offered or f"no package is called {atom.name}, and none provides it so")
    return "\n".join(rows)
