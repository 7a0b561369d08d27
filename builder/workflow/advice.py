"""What a change does to advisories: those about what one side holds against those about what the other one does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from builder.advice import Advice, Advised, Became
from builder.advisories.database import Databases
from builder.advisories.hits import Hit, Subject, compared, hits
from builder.difference import pair_name
from builder.manifest.model import Manifest, Target
from builder.redaction import redact
from builder.workflow.acceptances import acceptances, standing
from builder.workflow.project import Project
from builder.workflow.sides import Side
from builder.workflow.subjects import own

Names = tuple[Target | None, Target | None]
"""A target of A and the one of B that it is compared with; None where a side has none."""

_ORDER: tuple[Became, ...] = ("new", "fixed", "open")


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked, and of whom.

    Attributes:
        today: in UTC; the caller's, for nothing here looks at a clock.
    """

    databases: Databases
    today: date


def advice(question: Question, a: Side, b: Side, pairs: Sequence[Names]) -> Advice:
    """What the databases say about both sides, pair by pair; acceptances are those of B's manifest.

    Raises:
        StackbuildError: a lock is damaged, a database does not answer, an acceptance names no day of the calendar.
    """
    before, after = _Holdings(a.state), _Holdings(b.state)
    known = [(one, other) for one, other in pairs if before.known(one) and after.known(other)]
    asked = dict.fromkeys(subject for one, other in known for subject in (*before.of(one), *after.of(other)))
    found: dict[Subject, list[Hit]] = {}
    for hit in hits(question.databases, asked):
        found.setdefault(hit.subject, []).append(hit)
    manifest = b.state.manifest if b.state is not None else None
    rows = _told(question, manifest, _cases(known, before, after, found))
    present = dict.fromkeys(subject for _, other in known for subject in after.of(other))
    return Advice(
        rows=tuple(sorted(rows, key=_place)),
        databases=tuple((redact(one.place), one.entries, one.damaged) for one in question.databases.each),
        uncovered=dict(sorted(Counter(one.kind for one in present if not one.known).items())),
        unknown=tuple(_name((one, other)) for one, other in pairs if (one, other) not in known),
    )


class _Holdings:
    """What the targets of a side hold, each image's own looked up once."""

    def __init__(self, state: Project | None) -> None:
        self._state = state
        self._own: dict[Target, tuple[Subject, ...]] = {}

    def known(self, target: Target | None) -> bool:
        return target is None or self._state is not None

    def of(self, target: Target | None) -> Iterator[Subject]:
        if target is None or self._state is None:
            return
        for one in self._state.manifest.lineage(target):
            if one not in self._own:
                self._own[one] = own(self._state, one)
            yield from self._own[one]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """What became of one hit in one pair; a and b are the versions of its package, "" where a side has none."""

    became: Became
    hit: Hit
    a: str
    b: str
    pair: str

    @property
    def group(self) -> tuple[str, ...]:
        """What is told together: packages of one source, in one image, on whatever targets."""
        subject, known = self.hit.subject, self.hit.known
        names = (subject.kind, known.ecosystem, known.name, subject.image, self.hit.id)
        return (self.became, self.a, self.b, *names)


def _cases(
    pairs: Sequence[Names], before: _Holdings, after: _Holdings, found: Mapping[Subject, Sequence[Hit]]
) -> Iterator[_Case]:
    for pair in pairs:
        old, new = tuple(before.of(pair[0])), tuple(after.of(pair[1]))
        had, has = ({_key(one): _version(one) for one in side} for side in (old, new))
        told = compared(*([hit for one in side for hit in found.get(one, ())] for side in (old, new)))
        each: Mapping[Became, Sequence[Hit]] = {"new": told.new, "fixed": told.fixed, "open": told.open}
        for became, rows in each.items():
            for hit in rows:
                key = _key(hit.subject)
                yield _Case(became=became, hit=hit, a=had.get(key, ""), b=has.get(key, ""), pair=_name(pair))


def _key(one: Subject) -> tuple[str, str, str]:
    return one.kind, one.name, one.prefix


def _version(one: Subject) -> str:
    """As databases have it: of Debian's packages, the source's."""
    return one.known[0].version if one.known else one.version


def _told(question: Question, manifest: Manifest | None, cases: Iterable[_Case]) -> Iterator[Advised]:
    accepted = acceptances(manifest) if manifest is not None else ()
    groups: dict[tuple[str, ...], list[_Case]] = {}
    for case in cases:
        groups.setdefault(case.group, []).append(case)
    for group in groups.values():
        case, hit = group[0], group[0].hit
        packages = tuple(dict.fromkeys(one.hit.subject.name for one in group))
        now, note = standing(accepted, hit, {hit.known.name, *packages}, question.today)
        yield Advised(
            became=case.became,
            id=hit.id,
            aliases=hit.aliases,
            summary=hit.summary,
            url=hit.url,
            severity=str(hit.severity),
            level=hit.severity.level,
            rank=hit.severity.rank,
            ecosystem=hit.known.ecosystem,
            source=hit.known.name,
            packages=packages,
            a=case.a,
            b=case.b,
            fixed=hit.fixed,
            image=hit.subject.image,
            targets=tuple(dict.fromkeys(one.pair for one in group)),
            accepted=note if now else "",
        )


def _place(one: Advised) -> tuple[object, ...]:
    return (_ORDER.index(one.became), -one.rank[0], -one.rank[1], one.source, one.id, one.image, one.targets)


def _name(pair: Names) -> str:
    """Of an image in a registry, its name alone: its target is none of the project's."""
    a, b = ((str(one) if one.variant else one.image) if one is not None else None for one in pair)
    return pair_name(a, b)
