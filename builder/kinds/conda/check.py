"""Does a conda lock answer the request, and is it a solution? Without a network.

A lock that two branches changed may merge without a conflict and still be no solution. The dependencies and
constraints kept in the lock tell. What cannot be told: whether another channel with priority has a package by now.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from builder.errors import StackbuildError
from builder.kinds.conda import matching
from builder.kinds.conda.document import CondaLock
from builder.kinds.conda.lockfile import line_of, request_line
from builder.kinds.conda.record import fields
from builder.kinds.conda.request import name as name_of
from builder.kinds.conda.request import normalise, spec
from builder.kinds.conda.virtual import parts, subdir
from builder.lock import Lock, Pin


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A lock, where it was read, and what it stands on.

    Attributes:
        path: for errors; relative to the manifest reads best.
        text: the file's text, to name lines.
        inherited: the ancestors' names and locks, root first.
    """

    path: str
    lock: CondaLock
    text: str
    inherited: Sequence[tuple[str, Lock]] = ()

    def at(self, name: str) -> str:
        return f"{self.path}:{line_of(self.text, name)}"

    def at_request(self, item: str) -> str:
        return f"{self.path}:{request_line(self.text, item)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What else than the request decides a lock: platform, channels by priority with public URLs, virtual packages."""

    platform: str
    channels: tuple[tuple[str, str], ...]
    virtual: tuple[str, ...]


def moved(subject: Subject, now: Circumstances) -> list[StackbuildError]:
    """What of the circumstances has changed since the lock was solved: a base's newer glibc, most often."""
    lock = subject.lock
    return [
        StackbuildError(
            f"lock is stale: {subject.path}",
            where=f"{subject.path}:1",
            expected=f"{what} {today}",
            got=f"the lock was solved for {what} {then}",
            next_step="stackbuild lock",
        )
        for what, today, then in (
            ("platform", subdir(now.platform), lock.subdir),
            ("channels", ", ".join(map(" ".join, now.channels)), ", ".join(map(" ".join, lock.channels))),
            ("virtual packages", ", ".join(now.virtual), ", ".join(lock.virtual)),
        )
        if today != then
    ]


def problems(subject: Subject, request: Sequence[str]) -> list[StackbuildError]:
    """What is wrong with a lock; empty if it is a solution of the request.

    Returns:
        In the order: request, names of ancestors, dependencies and constraints by package, packages nobody asks for.
    """
    found = list(_stale(subject, normalise(request)))
    if found:
        return found
    above = {pin.name: (image, pin) for image, lock in subject.inherited for pin in lock.pins}
    found += _repeated(subject, above)
    have = {name: pin for name, (_, pin) in above.items()} | {pin.name: pin for pin in subject.lock.pins}
    try:
        world = _World(have, subject.lock.virtual)
        found += _unmet(subject, world)
    except ValueError as error:
        found.append(
            StackbuildError(
                f"lock is damaged: {subject.path}",
                where=subject.path,
                got=str(error)[:200],
                next_step="stackbuild lock",
            )
        )
    found += _unasked(subject, frozenset(above))
    return found


class _World:
    """Packages and virtual packages by name.

    Raises:
        ValueError: a version that conda does not know.
    """

    def __init__(self, have: dict[str, Pin], virtual: Sequence[str]) -> None:
        self.pins = have
        found = [(pin.name, pin.version, pin.field("build")) for pin in have.values()]
        self._records = {one[0]: matching.record(*one) for one in (*found, *map(parts, virtual))}
        self._shown = {name: f"{name}=={version}={build}" for name, version, build in (*found, *map(parts, virtual))}

    def met(self, wanted: str) -> bool:
        there = self._records.get(name_of(wanted))
        return there is not None and matching.satisfies(there, wanted)

    def allowed(self, limit: str) -> bool:
        return name_of(limit) not in self._records or self.met(limit)

    def shown(self, wanted: str) -> str:
        return self._shown.get(name_of(wanted), f"no {name_of(wanted)}")


def _stale(subject: Subject, asked: Sequence[str]) -> Iterator[StackbuildError]:
    answered = subject.lock.request
    others = {name_of(item): item for item in answered if item not in asked}
    for item in asked:
        if item not in answered:
            other = others.pop(name_of(item), "")
            yield StackbuildError(
                f"lock is stale: {subject.path}",
                where=subject.at_request(other) if other else subject.path,
                expected=f"stacks.toml asks {item}",
                got=f"the lock answers {other}" if other else "the lock does not answer it",
                next_step="stackbuild lock",
            )
    for item in others.values():
        yield StackbuildError(
            f"lock is stale: {subject.path}",
            where=subject.at_request(item),
            expected=f"nothing in stacks.toml asks {item} any more",
            got="the lock answers it",
            next_step="stackbuild lock",
        )


def _repeated(subject: Subject, above: dict[str, tuple[str, Pin]]) -> Iterator[StackbuildError]:
    for pin in subject.lock.pins:
        if pin.name in above:
            image, other = above[pin.name]
            verb = "repeat" if pin.digest == other.digest else "move"
            yield StackbuildError(
                f"child may not {verb} its parent: {pin.name}",
                where=subject.at(pin.name),
                expected=f"{pin.name}=={other.version} from {image} alone ({other.filename})",
                got=f"{pin.name}=={pin.version} ({pin.filename})",
                next_step="stackbuild lock",
            )


def _unmet(subject: Subject, world: _World) -> Iterator[StackbuildError]:
    """Requests, dependencies and constraints that the packages do not satisfy; the ancestors' constraints too."""

    def wrong(what: str, where: str, asks: str, wanted: str) -> StackbuildError:
        return StackbuildError(
            f"lock is no solution: {wanted} is not met",
            where=where,
            expected=f"{wanted}; {asks} {what} it",
            got=world.shown(wanted),
            next_step="stackbuild lock",
        )

    for item in subject.lock.request:
        if not world.met(spec(item)):
            yield wrong("asks for", subject.at_request(item), "stacks.toml", spec(item))
    own = {pin.name for pin in subject.lock.pins}
    for name, pin in sorted(world.pins.items()):
        where, asks = subject.at(name), f"{name}=={pin.version}"
        if name in own:
            for wanted in fields(pin, "depends"):
                if not matching.conditional(wanted) and not world.met(wanted):
                    yield wrong("needs", where, asks, wanted)
        for limit in fields(pin, "constrains"):
            if (name in own or name_of(limit) in own) and not world.allowed(limit):
                yield wrong("allows only", where, asks, limit)


def _unasked(subject: Subject, above: frozenset[str]) -> Iterator[StackbuildError]:
    """Pins that neither the request nor any asked-for pin needs, as a merge may leave behind."""
    own = {pin.name: pin for pin in subject.lock.pins}
    queue = [name_of(item) for item in subject.lock.request]
    reached = set(queue) | above
    while queue:
        pin = own.get(queue.pop())
        for wanted in fields(pin, "depends") if pin else ():
            if (name := name_of(wanted)) not in reached:
                reached.add(name)
                queue.append(name)
    for pin in subject.lock.pins:
        if pin.name not in reached:
            yield StackbuildError(
                f"lock holds what nobody asks for: {pin.name}",
                where=subject.at(pin.name),
                got=f"{pin.name}=={pin.version}, {' '.join(f'via {name}' for name in pin.via) or 'via nobody'}",
                next_step="stackbuild lock",
            )
