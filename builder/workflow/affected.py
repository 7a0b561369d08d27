"""Which targets and releases hold a package of some versions: from the locks, and from what pushes wrote down."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from builder.advisories.hits import Subject
from builder.advisories.holdings import Affected, Deployed, Held
from builder.awaited import ready
from builder.digest import Digest
from builder.errors import StackbuildError
from builder.kinds import submodule
from builder.locks import formats
from builder.manifest.shape import request_name
from builder.workflow.project import Project
from builder.workflow.released import Contents
from builder.workflow.releases import Release, recorded
from builder.workflow.subjects import subjects

_SIGNS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "=": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    ">": operator.gt,
}
_QUESTION: Final = re.compile(r"(@?[A-Za-z0-9][^\s<>=!,]*)\s*((?:(?:<=?|>=?|==?|!=)[^<>=!,]+(?:,|$))*)")
_BOUND: Final = re.compile(r"(<=?|>=?|==?|!=)\s*([^\s<>=!,]+)\s*(?:,|$)\s*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A package and bounds of its version, all of which must hold; `kind` is "" for any."""

    name: str
    bounds: tuple[tuple[str, str], ...] = ()
    kind: str = ""


def question(text: str, kind: str = "") -> Question:
    """The question that a text such as `openssl<3.0.14` or `numpy>=1.26,<2` is.

    Raises:
        StackbuildError: it is none, or there is no such kind.
    """
    found = _QUESTION.fullmatch(text.strip())
    if found is None:
        raise StackbuildError(
            f"not a package: {text}",
            expected="NAME, or a name with bounds: openssl<3.0.14, numpy>=1.26,<2",
            next_step="stackbuild affected 'NAME<VERSION'   # in quotes, or the shell reads a file",
        )
    known = dict.fromkeys(owner for _, owner in formats().values() if owner != "oci")
    if kind and kind not in known:
        raise StackbuildError(f"no such kind of packages: {kind}", expected=f"one of {', '.join(known)}")
    return Question(name=found[1], bounds=tuple((one[1], one[2]) for one in _BOUND.finditer(found[2])), kind=kind)


def affected(project: Project, asked: Question) -> Affected:
    """The targets whose locks have it, and the releases that were pushed with it.

    Raises:
        StackbuildError: a lock, or the record of releases, is damaged; versions of a kind that has the package are in
            no order.
    """
    targets = ready(project.manifest, project.locks)
    found = {target: tuple(_held(asked, subjects(project, target))) for target in targets}
    deployed, unknown = _released(project, asked)
    return Affected(
        targets={target: held for target, held in found.items() if held}, releases=deployed, unknown=unknown
    )


def _released(project: Project, asked: Question) -> tuple[tuple[Deployed, ...], tuple[str, ...]]:
    everything = recorded(project)
    contents, now = Contents(project), _now(everything)
    found, unknown = list[Deployed](), list[str]()
    for (name, digest), rows in _by_digest(everything).items():
        whole = next((one for one in rows if one.platforms), rows[0])
        tags = tuple(dict.fromkeys(tag for one in rows for tag in one.tags))
        known = {platform: _first(contents, rows, platform) for platform in whole.platforms}
        if not known or None in known.values():
            unknown.append(f"{name}@{digest}")
        platforms = {platform: tuple(_held(asked, packages or ())) for platform, packages in known.items()}
        if any(platforms.values()):
            found.append(
                Deployed(
                    name=name,
                    digest=digest,
                    time=rows[0].time,
                    tags=tuple(tag for tag in tags if now[name, tag] == digest),
                    before=tuple(tag for tag in tags if now[name, tag] != digest),
                    platforms={platform: held for platform, held in platforms.items() if held},
                )
            )
    return tuple(found), tuple(unknown)


def _first(contents: Contents, rows: Sequence[Release], platform: str) -> tuple[Subject, ...] | None:
    """What a platform holds, by the first of a digest's releases that tells: their tags may name commits or not."""
    told = (contents.of(one, platform) for one in rows if platform in one.platforms)
    return next((one for one in told if one is not None), None)


def _by_digest(releases: Iterable[Release]) -> dict[tuple[str, Digest], list[Release]]:
    found: dict[tuple[str, Digest], list[Release]] = {}
    for one in releases:
        found.setdefault((one.name, one.digest), []).append(one)
    return found


def _now(releases: Iterable[Release]) -> dict[tuple[str, str], Digest]:
    """By name and tag, what it names now as far as this store knows: what was said last."""
    return {(one.name, tag): one.digest for one in releases for tag in one.tags}


def _held(asked: Question, packages: Iterable[Subject]) -> Iterator[Held]:
    wanted = {asked.name, request_name(asked.name)}
    for one in packages:
        if asked.kind in {"", one.kind}:
            for name, version in ((one.name, one.version), *one.aliases):
                if name in wanted and _within(one.kind, version, asked):
                    yield Held(kind=one.kind, package=one.name, name=name, version=version, image=one.image)
                    break


def _within(kind: str, version: str, asked: Question) -> bool:
    if not asked.bounds:
        return True
    module = submodule(kind, "osv")
    if module is None:
        raise StackbuildError(
            f"versions of {kind} are in no order: {asked.name} {version}",
            next_step=f"stackbuild affected {asked.name}, or name another kind: --kind apt",
        )
    return all(_SIGNS[sign](module.order(version), module.order(bound)) for sign, bound in asked.bounds)
