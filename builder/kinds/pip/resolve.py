"""A request in, a lock out: the only step of pip's kind that trusts a moving network.

    normalise ─→ solve (uv or pip-tools, in a subprocess) ─→ choose one file per pin ─→ METADATA of each
                   ↑                          │                (index pages and zip ranges, 16 at a time)
                   └── stub with what the ────┘                              │
                       sandbox built (sdists)          active requirements, who asks for whom ─→ check ─→ lock

The ancestors' pins are constraints of the solver and are left out of the lock. A pin that is already locked and
keeps its version keeps its file as well, so a second `lock` changes nothing, even if wheels were added since.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.utils import canonicalize_name

from builder.errors import StackbuildError, raise_all
from builder.kinds.pip import built, piptools, uv
from builder.kinds.pip.check import problems
from builder.kinds.pip.choose import choose, fits
from builder.kinds.pip.closure import Asked, close
from builder.kinds.pip.failure import direct_conflicts, explain
from builder.kinds.pip.index import DEFAULT, Indexes
from builder.kinds.pip.lockfile import PipLock
from builder.kinds.pip.metadata import known, read, requires_dist
from builder.kinds.pip.page import IndexFile
from builder.kinds.pip.question import Attempt, NoSolution, PipQuestion, Solution
from builder.kinds.pip.requirement import name as name_of
from builder.kinds.pip.requirement import normalise
from builder.kinds.pip.sdist import BuildWheel, stub
from builder.kinds.pip.target import environment
from builder.lock import Pin
from builder.net import Client
from builder.store import Store

_SOLVERS = {"uv": uv.solve, "pip-tools": piptools.solve}


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What a resolution works with."""

    client: Client
    store: Store
    indexes: Indexes
    environ: Mapping[str, str]
    build_wheel: BuildWheel | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """A pin before it is known who asks for it; `lines` are its Requires-Dist."""

    pin: Pin
    lines: Sequence[str]


def resolve(
    question: PipQuestion,
    client: Client,
    store: Store,
    *,
    build_wheel: BuildWheel | None = None,
    environ: Mapping[str, str] = os.environ,
    indexes: Indexes | None = None,
) -> tuple[PipLock, PipLock | None]:
    """The lock that answers a question, and the lock of its sdists' build requirements if it pins any sdist.

    Args:
        build_wheel: builds an sdist in the sandbox; needed only if `question.sdists` names what the answer holds.
        environ: says where indexes are and how to reach them.
        indexes: those of the question, where several resolutions share the pages that were read.

    Raises:
        StackbuildError: no solution, a conflict with an ancestor, no wheel for the target, an unreachable index.
    """
    means = Means(
        client=client,
        store=store,
        indexes=indexes or Indexes(client, question.indexes, environ),
        environ=environ,
        build_wheel=build_wheel,
    )
    return _resolve(_normalised(question), means)


def _normalised(question: PipQuestion) -> PipQuestion:
    if question.resolver not in _SOLVERS:
        raise StackbuildError(f"unknown resolver: {question.resolver}", expected=" or ".join(_SOLVERS))
    if question.exclude_newer is not None and question.exclude_newer.tzinfo is None:
        raise StackbuildError(
            "exclude-newer has no time zone",
            expected="2026-11-01T00:00:00Z",
            got=question.exclude_newer.isoformat(),
        )
    # An ancestor's pin stays where it is from, whatever the child or its variant says of that name.
    inherited: dict[str, str] = {name: pin.source or DEFAULT for name, (_, pin) in question.pinned.items()}
    sources = {str(canonicalize_name(name)): index for name, index in question.sources.items()} | inherited
    return replace(
        question,
        request=normalise(question.request),
        constraints=normalise(question.constraints),
        upgrade=_names(question.upgrade),
        toward={str(canonicalize_name(name)): version for name, version in question.toward.items()},
        exempt=_names(question.exempt),
        sdists=_names(question.sdists),
        without=tuple(sorted(_names(question.without))),
        sources={name: index for name, index in sources.items() if name not in question.foreign},
    )


def _names(names: Iterable[str]) -> frozenset[str]:
    return frozenset(canonicalize_name(name) for name in names)


def _resolve(question: PipQuestion, means: Means) -> tuple[PipLock, PipLock | None]:
    direct_conflicts(question)
    if not question.request:
        return _lock(question, {}, ()), None
    with means.store.workspace() as folder:
        build = built.Workshop(question, means.client, means.store, means.indexes, folder, means.build_wheel)
        attempt = _mapped(Attempt(question=question, links=build.links, stubs=_stubs(question, folder)))
        while True:
            solution, attempt = _solve(attempt, build, means)
            news = build.unknown(solution)
            if not news:
                break
            if not build.learn(news, lambda asks: _resolve(asks, means)[0]):
                break
            attempt = replace(attempt, links=build.links)
        found = _found(question, solution, build, means)
        lock = _lock(question, _asked(question, found, build, means), tuple(found.values()))
        raise_all(
            problems(
                lock,
                question.inherited,
                question.request,
                "the new lock",
                constraints=question.constraints,
                without=question.without,
            )
        )
        return lock, build.lock(lock, lambda asks: _resolve(asks, means)[0])


def _stubs(question: PipQuestion, folder: Path) -> Mapping[str, Path]:
    """Wheels without content or requirements that stand for what others bring: these saw to what that requires."""
    return {name: stub(folder, name, pin.version, ()) for name, pin in question.foreign.items()}


def _mapped(attempt: Attempt) -> Attempt:
    """Names with an index of their own that an ancestor pins: the solver must look for them there."""
    question = attempt.question
    requested = {name_of(item) for item in question.request}
    inherited = [name for name in question.pinned if question.source(name) and name not in requested]
    return replace(attempt, direct=tuple(sorted(inherited)))


def _solve(attempt: Attempt, build: built.Workshop, means: Means) -> tuple[Solution, Attempt]:
    """One answer of the solver, in which every name with an index of its own was taken from there, and from there only.

    Such a name is an empty stub to the solver until it turns up in an answer: then it is told where it comes from.
    """

    def settled(one: Attempt) -> tuple[Solution, Attempt]:
        while True:
            solution = _SOLVERS[one.question.resolver](one, means.indexes, means.store, means.environ)
            further = one.held.intersection(name for name, _ in solution)
            if not further:
                return solution, one
            one = replace(one, direct=tuple(sorted({*one.direct, *further})))

    def requires(solution: Solution) -> Sequence[tuple[str, str, str]]:
        question = replace(attempt.question, inherited=())
        found = _found(question, solution, build, means)
        asked = _asked(question, found, build, means)
        return [
            (name, one.pin.version, item)
            for name, one in found.items()
            if name in asked
            for item in asked[name].requires
        ]

    try:
        return settled(attempt)
    except NoSolution as error:
        raise explain(error, attempt, lambda one: settled(one)[0], requires, means.indexes) from None


def _found(question: PipQuestion, solution: Solution, build: built.Workshop, means: Means) -> Mapping[str, _Found]:
    """The file of each pin that is not inherited, with its requirements; problems of all are reported together."""
    own = [(name, version) for name, version in solution if name not in question.pinned]

    found = means.client.each(lambda pinned: _one(question, *pinned, build, means), own)
    return {one.pin.name: one for one in found}


def _one(question: PipQuestion, name: str, version: str, build: built.Workshop, means: Means) -> _Found:
    kept = _kept(question, name, version)
    source = question.source(name)
    if kept is not None and known(kept.digest, means.store):
        file = IndexFile(name=kept.filename, url="", digest=kept.digest, size=kept.size)
    elif kept is not None:
        file = IndexFile(name=kept.filename, url=means.indexes.urls(kept)[0], digest=kept.digest, size=kept.size)
    else:
        files = means.indexes.files(name, source, version)
        file = choose(name, version, files, question.fitting(name), sdist=name in question.sdists)
    digest, size = (file.digest, file.size) if file.digest else built.download(file, means.client, means.store)
    if file.is_wheel:
        text, size = read(replace(file, size=size), digest, means.client, means.store)
        lines = requires_dist(text)
    else:
        lines = build.requires(name, version)
        size = means.client.size(file.url) if size is None else size
    pin = Pin(kind="pip", name=name, version=version, filename=file.name, digest=digest, size=size, source=source)
    return _Found(pin=pin, lines=lines)


def _kept(question: PipQuestion, name: str, version: str) -> Pin | None:
    """The pin that the lock has already, if it still is one for this target."""
    pin = question.existing.pin(name) if question.existing else None
    if pin is None or pin.version != version or pin.source != question.source(name):
        return None
    file = IndexFile(name=pin.filename, url="")
    if file.is_wheel:
        return pin if fits(file, question.fitting(name)) else None
    return pin if name in question.sdists else None


def _asked(
    question: PipQuestion, found: Mapping[str, _Found], build: built.Workshop, means: Means
) -> Mapping[str, Asked]:
    def lines(name: str, extras: frozenset[str]) -> Sequence[str]:
        if name in found:
            return found[name].lines
        # An ancestor's pin is solved already, but for extras that only the child asks for.
        return _inherited(question.pinned[name][1], means) if extras and name in question.pinned else ()

    return close(question.request, environment(question.python, question.platform), lines)


def _inherited(pin: Pin, means: Means) -> Sequence[str]:
    """The Requires-Dist lines of an ancestor's pin; none of an sdist, which would have to be built again."""
    if not pin.filename.endswith(".whl"):
        return ()
    url = "" if known(pin.digest, means.store) else means.indexes.urls(pin)[0]
    file = IndexFile(name=pin.filename, url=url, digest=pin.digest, size=pin.size)
    return requires_dist(read(file, pin.digest, means.client, means.store)[0])


def _lock(question: PipQuestion, asked: Mapping[str, Asked], found: Sequence[_Found]) -> PipLock:
    pins = [
        replace(
            one.pin,
            via=asked[one.pin.name].via,
            fields=tuple(("requires", item) for item in asked[one.pin.name].requires),
        )
        for one in found
        if one.pin.name in asked
    ]
    return PipLock(
        request=question.request,
        constraints=question.constraints,
        without=question.without,
        pins=tuple(sorted(pins, key=lambda pin: pin.name)),
        python=question.python,
        platform=question.platform,
        glibc=question.glibc,
    )
