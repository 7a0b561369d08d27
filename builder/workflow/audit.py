"""Audit: which advisories are open for what the locks of targets hold. Nothing is built, fetched or changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from builder.advisories.database import Databases
from builder.advisories.findings import Audited, Finding
from builder.advisories.hits import Hit, Subject, hits
from builder.advisories.severity import LEVELS
from builder.manifest.model import Target
from builder.redaction import redact
from builder.workflow.acceptances import Accepted, acceptances, standing
from builder.workflow.project import Project
from builder.workflow.subjects import own
from builder.workflow.why import shortest


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What counts as open.

    Attributes:
        ignore: ids, or other names of advisories, that do not.
        least: what is known to be less severe than this level does not; "" for any.
        today: in UTC; the caller's, for nothing here looks at a clock.
    """

    today: date
    ignore: frozenset[str] = frozenset()
    least: str = ""


def audit(project: Project, targets: Sequence[Target], databases: Databases, wish: Wish) -> Audited:
    """The advisories about what targets and their ancestors hold, each once for the image that brings the package.

    Raises:
        StackbuildError: a lock is damaged, a database does not answer, an acceptance names no day of the calendar.
    """
    accepted = acceptances(project.manifest)
    brings: dict[Subject, dict[Target, None]] = {}
    for image in dict.fromkeys(one for target in targets for one in project.manifest.lineage(target)):
        for subject in own(project, image):
            brings.setdefault(subject, {})[image] = None
    found = hits(databases, brings)
    findings = tuple(_findings(project, targets, found, brings, accepted, wish))
    used = {name for one in found for name in one.names}
    return Audited(
        targets=tuple(targets),
        findings=findings,
        checked=sum(bool(one.known) for one in brings),
        uncovered=dict(sorted(Counter(one.kind for one in brings if not one.known).items())),
        idle=tuple(f"{one.where}: {one.said.id}" for one in accepted if one.said.id not in used),
        databases=tuple((redact(one.place), one.entries, one.damaged) for one in databases.each),
    )


def _findings(
    project: Project,
    targets: Sequence[Target],
    found: Sequence[Hit],
    brings: Mapping[Subject, Mapping[Target, None]],
    accepted: Sequence[Accepted],
    wish: Wish,
) -> Iterator[Finding]:
    """Hits of the packages of one source, in one image, on the same of its targets, together."""
    groups: dict[tuple[object, ...], list[Hit]] = {}
    for one in found:
        places = tuple(brings[one.subject])
        groups.setdefault((one.subject.image, places, one.subject.kind, one.known, one.id), []).append(one)
    ways = _ways(project, found, brings)
    below: dict[Target, list[Target]] = {}
    for target in targets:
        for image in project.manifest.lineage(target):
            below.setdefault(image, []).append(target)
    rows = []
    for group in groups.values():
        first, places = group[0], tuple(brings[group[0].subject])
        heirs = dict.fromkeys(heir for place in places for heir in below[place] if heir not in places)
        state, note = _state(group, accepted, wish)
        rows.append(
            Finding(
                id=first.id,
                aliases=first.aliases,
                summary=first.summary,
                severity=first.severity,
                ecosystem=first.known.ecosystem,
                source=first.known.name,
                version=first.known.version,
                fixed=first.fixed,
                packages=tuple(one.subject for one in group),
                via=tuple(ways.get((places[0], one.subject.kind, one.subject.name), "") for one in group),
                image=first.subject.image,
                own=places,
                heirs=tuple(heirs),
                state=state,
                note=note,
            )
        )
    images = list(dict.fromkeys(one.image for one in brings))
    yield from sorted(
        rows,
        key=lambda one: (images.index(one.image), one.own, [-part for part in one.severity.rank], one.source, one.id),
    )


def _ways(
    project: Project, found: Sequence[Hit], brings: Mapping[Subject, Mapping[Target, None]]
) -> dict[tuple[Target, str, str], str]:
    wanted: dict[Target, set[tuple[str, str]]] = {}
    for one in found:
        if not one.subject.prefix:
            wanted.setdefault(next(iter(brings[one.subject])), set()).add((one.subject.kind, one.subject.name))
    return {
        (target, kind, name): way
        for target, names in wanted.items()
        for (kind, name), way in shortest(project, target, names).items()
    }


def _state(group: Sequence[Hit], accepted: Sequence[Accepted], wish: Wish) -> tuple[str, str]:
    first = group[0]
    if first.names & wish.ignore:
        return "ignored", ""
    names = {first.known.name, *(hit.subject.name for hit in group)}
    now, note = standing(accepted, first, names, wish.today)
    if now:
        return "accepted", note
    if wish.least and LEVELS.index(first.severity.level) < LEVELS.index(wish.least):
        return "below", note
    return "open", note
