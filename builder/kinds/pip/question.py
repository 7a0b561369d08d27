"""What is asked of a pip resolver, and how its answer and its refusal look. Pure data."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from builder.errors import StackbuildError
from builder.kinds.pip.choose import Fitting
from builder.kinds.pip.index import DEFAULT
from builder.lock import Lock, Pin
from builder.manifest.shape import request_name
from builder.redaction import redact

Solution = tuple[tuple[str, str], ...]
"""(PEP 503 name, version), sorted by name; inherited names among them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PipQuestion:
    """One target's request to pip.

    Attributes:
        request: requirements (PEP 508, without URLs), in any spelling and order.
        python: the target's CPython with its patch version: some releases need more than `3.11` says.
        platform: `linux/amd64`.
        glibc: the target's, `2.36`.
        image: the image's name, for messages.
        cell: the target, `jupyter:cuda@linux/arm64`, for tables.
        inherited: whose pins, and the pins, which neither move nor repeat: conda's first, then the ancestors', root
            first. One of conda's has that kind; one of a foreign image has no file.
        without: names that are left out though something requires them.
        constraints: limits on versions that request nothing.
        existing: the lock so far; its pins stay unless something forces them. `existing_build` is the same for
            the build requirements.
        upgrade: names whose pins may move.
        toward: of these, the versions to take if possible; the others take the newest.
        upgrade_all: every pin may move.
        exclude_newer: files uploaded at that time or later do not exist; with time zone.
        exempt: names to which the cutoff does not apply.
        indexes: index name → URL.
        sources: name → the only index that it may come from; all other names come from the default index.
        sdists: names that may be built from source, in the sandbox.
        resolver: `uv` or `pip-tools`.
    """

    request: tuple[str, ...]
    python: str
    platform: str
    glibc: str
    image: str = ""
    cell: str = ""
    inherited: tuple[tuple[str, Lock], ...] = ()
    without: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    existing: Lock | None = None
    existing_build: Lock | None = None
    upgrade: frozenset[str] = frozenset()
    toward: Mapping[str, str] = field(default_factory=dict)
    upgrade_all: bool = False
    exclude_newer: datetime | None = None
    exempt: frozenset[str] = frozenset()
    indexes: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    sdists: frozenset[str] = frozenset()
    resolver: str = "uv"

    @property
    def pinned(self) -> Mapping[str, tuple[str, Pin]]:
        """Inherited name → the ancestor's name and its pin."""
        return {pin.name: (image, pin) for image, lock in self.inherited for pin in lock.pins}

    @property
    def foreign(self) -> Mapping[str, Pin]:
        """Inherited name → its pin, of those that no index need know: conda's, and what a foreign image holds."""
        return {name: pin for name, (_, pin) in self.pinned.items() if pin.kind == "conda" or not pin.filename}

    @property
    def where(self) -> str:
        """The target in words, for messages."""
        return " ".join(part for part in (self.image, self.platform, f"CPython {self.python}") if part)

    def source(self, name: str) -> str:
        """The index of a name, "" for the default one."""
        found = self.sources.get(name, "")
        return "" if found == DEFAULT else found

    def fitting(self, name: str) -> Fitting:
        """What a file of that name must fit."""
        cutoff = None if name in self.exempt else self.exclude_newer
        return Fitting(
            python=self.python, platform=self.platform, glibc=self.glibc, cutoff=cutoff, cell=self.cell or self.where
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One run of a resolver.

    Attributes:
        question: its request and constraints are normalised.
        direct: further names to treat as requested, so that `sources` applies to them.
        links: a folder of stub wheels, or None.
        stubs: inherited name → the stub wheel that stands for what no index need know.
        forced: inherited pins are constraints; else only preferences, to find out what a conflict is.
    """

    question: PipQuestion
    direct: tuple[str, ...] = ()
    links: Path | None = None
    stubs: Mapping[str, Path] = field(default_factory=dict)
    forced: bool = True

    @property
    def held(self) -> frozenset[str]:
        """Names with an index of their own that the solver cannot be told of yet: it must not look for them at all."""
        question = self.question
        requested = {request_name(item) for item in question.request}
        return frozenset(name for name in question.sources if question.source(name)) - requested - {*self.direct}

    def without_cutoff(self, names: frozenset[str] | None = None) -> Attempt:
        """The same without the cutoff, for all or for some names."""
        if names is None:
            return replace(self, question=replace(self.question, exclude_newer=None))
        return replace(self, question=replace(self.question, exempt=self.question.exempt | names))

    @property
    def constraints(self) -> tuple[str, ...]:
        """Requirements; a stub by its place, so that no index is asked whether it knows that version."""
        inherited = self.question.pinned.values() if self.forced else ()
        pinned = (
            f"{pin.name} @ {self.stubs[pin.name].as_uri()}" if pin.name in self.stubs else f"{pin.name}=={pin.version}"
            for _, pin in inherited
        )
        own = (item for item in self.question.constraints if request_name(item) not in self.held)
        return (*own, *pinned)

    @property
    def preferences(self) -> tuple[str, ...]:
        """Versions to have if possible; a name that may move to any is left out."""
        question = self.question
        kept = {} if self.forced else {pin.name: pin.version for _, pin in question.pinned.values()}
        if question.existing is not None and not question.upgrade_all:
            kept |= {p.name: p.version for p in question.existing.pins if p.name not in question.upgrade}
            kept |= {p.name: question.toward[p.name] for p in question.existing.pins if p.name in question.toward}
        return tuple(f"{name}=={version}" for name, version in sorted(kept.items()))


class NoSolution(StackbuildError):
    """A resolver found no solution.

    Args:
        explanation: its own words, without hosts and credentials, a line each.
    """

    def __init__(self, question: PipQuestion, explanation: Sequence[str]) -> None:
        self.explanation = tuple(explanation)
        super().__init__(
            f"no solution: pip, {question.where}",
            got="\n".join(self.explanation),
            next_step="loosen one of these requests in stacks.toml, then: stackbuild lock",
        )


_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s`'\"<>),]*")


def hostless(text: str, secrets: Sequence[str] = ()) -> str:
    """A foreign program's words without hosts, user info and queries of URLs, and without known secrets."""

    def path_only(found: re.Match[str]) -> str:
        return "…/" + found.group().partition("://")[2].partition("/")[2]

    return _URL.sub(path_only, redact(text, secrets))
