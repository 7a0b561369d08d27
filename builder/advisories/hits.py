"""Which advisories are about packages that somebody has, and what two states of them have in common.

before, after = hits(database, old), hits(database, new)
compared(before, after)        # fixed, still open, new
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Protocol

from builder.advisories.entry import Advisory
from builder.advisories.ranges import Order, affects, first_fixed
from builder.advisories.severity import Severity, severity
from builder.ecosystem import Known
from builder.kinds import kinds, submodule


class Database(Protocol):
    """Advisories by package: `index.Index`, `service.Service`."""

    def about(self, packages: frozenset[Known]) -> Mapping[tuple[str, str], tuple[Advisory, ...]]:
        """By ecosystem and name, what is said of packages; more of them, or of other versions, does no harm."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A package that somebody has.

    Attributes:
        kind, name, version: as its lock has it.
        image: the image of the family whose lock has it.
        prefix: where it lies, in a foreign base image.
        known: what it is called in databases; empty where none knows it.
        aliases: other names that people know it by, each with its version.
    """

    kind: str
    name: str
    version: str
    image: str
    prefix: str = ""
    known: tuple[Known, ...] = ()
    aliases: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A vulnerability of a package.

    Attributes:
        id: of the first of the entries that are about it; entries with a common alias are about the same.
        aliases: all its other names, sorted, CVEs first.
        url: where the first of them that says so describes it.
        known: the package as the entries have it.
        fixed: the first version that no entry is about, as the ecosystem writes it; "" where none is known.
    """

    subject: Subject
    id: str
    aliases: tuple[str, ...]
    summary: str
    url: str
    severity: Severity
    known: Known
    fixed: str

    @property
    def names(self) -> frozenset[str]:
        """All names that somebody may call the vulnerability by."""
        return frozenset((self.id, *self.aliases))


def hits(database: Database, subjects: Iterable[Subject]) -> tuple[Hit, ...]:
    """The vulnerabilities of packages, in the order of the packages, each package's by severity, the worst first.

    Packages that no database knows (`Subject.known` is empty) have none: that is no proof of anything.

    Raises:
        StackbuildError: the database is a service that cannot be asked, or answers nonsense.
    """
    wanted = tuple(subjects)
    known = database.about(frozenset(one for subject in wanted for one in subject.known))
    return tuple(
        hit
        for subject in wanted
        for hit in sorted(_of(subject, known), key=lambda one: (-one.severity.rank[0], -one.severity.rank[1], one.id))
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What became of vulnerabilities: gone with their version or package, still there, new."""

    fixed: tuple[Hit, ...]
    open: tuple[Hit, ...]
    new: tuple[Hit, ...]


def compared(before: Sequence[Hit], after: Sequence[Hit]) -> Compared:
    """Two states of one target. A vulnerability is told by kind and name of its package and by any of its names.

    `fixed` are hits of `before`, the others of `after`, in their order.
    """
    had, has = _names(before), _names(after)
    return Compared(
        fixed=tuple(one for one in before if not _keys(one) & has),
        open=tuple(one for one in after if _keys(one) & had),
        new=tuple(one for one in after if not _keys(one) & had),
    )


def _keys(one: Hit) -> set[tuple[str, str, str, str]]:
    return {(one.subject.kind, one.subject.name, one.subject.prefix, name) for name in one.names}


def _names(found: Iterable[Hit]) -> set[tuple[str, str, str, str]]:
    return set().union(*map(_keys, found))


@cache
def orders() -> Mapping[str, Order]:
    """How versions are compared, by ecosystem without its release."""
    modules = (submodule(kind, "osv") for kind in kinds())
    return {ecosystem: one.order for one in modules if one is not None for ecosystem in one.ECOSYSTEMS}


def _of(subject: Subject, known: Mapping[tuple[str, str], tuple[Advisory, ...]]) -> Iterator[Hit]:
    found = [
        (one, advisory)
        for one in subject.known
        for advisory in known.get((one.ecosystem, one.name), ())
        if affects(advisory.affected, one.version, orders()[one.ecosystem.partition(":")[0]])
    ]
    for group in _grouped(found):
        yield _hit(subject, group)


def _grouped(found: Sequence[tuple[Known, Advisory]]) -> list[list[tuple[Known, Advisory]]]:
    """Those with a common name together: PyPA's and GitHub's entries of one CVE."""
    groups: list[tuple[set[str], list[tuple[Known, Advisory]]]] = []
    for one in found:
        names = {one[1].id, *one[1].aliases}
        members = [one]
        apart = []
        for group in groups:
            if group[0] & names:
                names |= group[0]
                members = group[1] + members
            else:
                apart.append(group)
        groups = [*apart, (names, members)]
    return [members for _, members in groups]


def _hit(subject: Subject, group: Sequence[tuple[Known, Advisory]]) -> Hit:
    known = group[0][0]
    advisories = sorted((advisory for _, advisory in group), key=lambda one: one.id)
    order = orders()[known.ecosystem.partition(":")[0]]
    ranges = [one for advisory in advisories for one in advisory.affected]
    names = {name for one in advisories for name in (one.id, *one.aliases, *one.upstream)} - {advisories[0].id}
    return Hit(
        subject=subject,
        id=advisories[0].id,
        aliases=tuple(sorted(names, key=lambda one: (not one.startswith("CVE-"), one))),
        summary=next((one.summary for one in advisories if one.summary), ""),
        url=next((one.url for one in advisories if one.url), ""),
        severity=severity(advisories),
        known=known,
        fixed=first_fixed(ranges, known.version, order),
    )
