"""Does a pip lock answer the request, and is it a solution? Without a network.

A lock that two branches changed may merge without a conflict and still be no solution: numpy moved on one, a
package that forbids the new numpy came with the other. The requirements kept in the lock tell.

What cannot be told: the further requirements of an ancestor's pin under an extra that only the child asks for
are not in the child's lock; the names that they brought are taken from the `via` lines.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from builder.errors import StackbuildError
from builder.kinds.pip import requirement
from builder.kinds.pip.index import DEFAULT
from builder.kinds.pip.lockfile import PipLock, pin_line, request_line
from builder.kinds.pip.target import environment, tags
from builder.lock import Lock, Pin

Inherited = Sequence[tuple[str, Lock]]
"""The ancestors' names and locks, root first."""


def problems(
    lock: PipLock,
    inherited: Inherited,
    request: Sequence[str],
    path: str,
    *,
    constraints: Sequence[str] = (),
    without: Sequence[str] = (),
) -> list[StackbuildError]:
    """What is wrong with a lock, in the order of its lines; empty if it is a solution of the request.

    Args:
        request: as the manifest says it, normalised or not.
        path: the lock's file, for messages.
        constraints: limits of the manifest that request nothing.
        without: names that the manifest leaves out.
    """
    found = list(_unreadable(lock, path)) or [
        *_stale(lock, request, constraints, path),
        *_left_out(lock, without, path),
    ]
    if found:
        return found
    pinned = {pin.name: (image, pin) for image, one in inherited for pin in one.pins}
    found += _repeated(lock, pinned, path)
    found += _unmet(lock, pinned, path)
    found += _broken(lock, inherited, path)
    found += _unasked(lock, pinned, path)
    found += _misfit(lock, path)
    return found


def moved(lock: PipLock, path: str, *, python: str, platform: str, glibc: str) -> list[StackbuildError]:
    """What of the target has changed since the lock was solved: a base image's newer Python, most often."""
    return [
        StackbuildError(
            f"lock is stale: {path}",
            where=f"{path}:{number}",
            expected=f"{what} {now}",
            got=f"the lock was solved for {what} {then}",
            next_step="stackbuild lock",
        )
        for number, what, now, then in (
            (3, "python", python, lock.python),
            (4, "platform", platform, lock.platform),
            (5, "glibc", glibc, lock.glibc),
        )
        if now != then
    ]


def misplaced(
    lock: PipLock, path: str, *, sources: Mapping[str, str], sdists: Collection[str]
) -> Iterator[StackbuildError]:
    """Pins from another index than the manifest now says, and source archives that it no more allows.

    Args:
        sources: name → the index that it comes from; what is not in it comes from the default index, "" in a lock.
        sdists: names that may come as source.
    """
    for pin in lock.pins:
        wanted = sources.get(pin.name, "").removeprefix(DEFAULT)
        wrong = []
        if pin.source != wanted:
            wrong.append((f"{pin.name} from index {wanted or DEFAULT}", f"from {pin.source or DEFAULT}"))
        if not pin.filename.endswith(".whl") and pin.name not in sdists:
            wrong.append((f"a wheel of {pin.name}, or its name in sdists", pin.filename))
        for expected, got in wrong:
            yield StackbuildError(
                f"lock is stale: {path}",
                where=f"{path}:{pin_line(lock, pin.name)}",
                expected=expected,
                got=got,
                next_step="stackbuild lock",
            )


def _unreadable(lock: PipLock, path: str) -> Iterator[StackbuildError]:
    """Lines edited by hand into what is no requirement; `loads` has no parser for them, as it must be fast."""
    items = [(item, request_line(lock, item)) for item in lock.request]
    items += [(item, 1) for item in lock.constraints]
    for item, line in items:
        if not requirement.readable(item):
            yield StackbuildError("broken lock: not a requirement", where=f"{path}:{line}", got=item[:100])
    for pin in lock.pins:
        for key, value in pin.fields:
            if key == "requires" and not requirement.readable(value):
                where = f"{path}:{pin_line(lock, pin.name)}"
                yield StackbuildError("broken lock: not a requirement", where=where, got=value[:100])


def _stale(lock: PipLock, request: Sequence[str], constraints: Sequence[str], path: str) -> Iterator[StackbuildError]:
    for word, asked, answered in (
        ("asks", requirement.normalise(request), lock.request),
        ("limits", requirement.normalise(constraints), lock.constraints),
    ):
        answers = {requirement.name(item): item for item in answered if item not in asked}
        for item in asked:
            if item in answered:
                continue
            other = answers.pop(requirement.name(item), None)
            yield StackbuildError(
                f"lock is stale: {path}",
                where=f"{path}:{request_line(lock, other)}" if other else path,
                expected=f"stacks.toml {word} {item}",
                got=f"the lock answers {other}" if other else "the lock does not answer it",
                next_step="stackbuild lock",
            )
        for item in answers.values():
            yield StackbuildError(
                f"lock is stale: {path}",
                where=f"{path}:{request_line(lock, item)}",
                expected=f"nothing in stacks.toml {word} {item} any more",
                got="the lock answers it",
                next_step="stackbuild lock",
            )


def _left_out(lock: PipLock, without: Sequence[str], path: str) -> Iterator[StackbuildError]:
    for name in sorted(set(without).symmetric_difference(lock.without)):
        yield StackbuildError(
            f"lock is stale: {path}",
            where=f"{path}:1",
            expected=f"stacks.toml leaves out {name}"
            if name in without
            else f"{name}, which stacks.toml no longer leaves out",
            got="the lock was made with it" if name in without else "the lock was made without it",
            next_step="stackbuild lock",
        )
    for pin in lock.pins:
        if pin.name in without:
            yield StackbuildError(
                f"lock holds what stacks.toml leaves out: {pin.name}",
                where=f"{path}:{pin_line(lock, pin.name)}",
                next_step="stackbuild lock",
            )


def _repeated(lock: PipLock, pinned: Mapping[str, tuple[str, Pin]], path: str) -> Iterator[StackbuildError]:
    for pin in lock.pins:
        if pin.name not in pinned:
            continue
        image, other = pinned[pin.name]
        verb = "repeat" if (pin.version, pin.digest) == (other.version, other.digest) else "move"
        what = f"pip may not {verb} what conda brings" if other.kind == "conda" else f"child may not {verb} its parent"
        yield StackbuildError(
            f"{what}: {pin.name}",
            where=f"{path}:{pin_line(lock, pin.name)}",
            expected=f"{pin.name}=={other.version} from {image} alone ({other.filename})",
            got=f"{pin.name}=={pin.version} ({pin.filename})",
            next_step="stackbuild lock",
        )


def _unmet(lock: PipLock, pinned: Mapping[str, tuple[str, Pin]], path: str) -> Iterator[StackbuildError]:
    """Every requirement of the request and of the pins that no pin satisfies."""
    have = {name: pin.version for name, (_, pin) in pinned.items()} | {p.name: p.version for p in lock.pins}
    values = environment(lock.python, lock.platform)
    for kind, items in (("requests", lock.request), ("limits", lock.constraints)):
        for item in items:
            for active in requirement.active((item,), values):
                limits = kind == "limits" and requirement.name(active) not in have
                if not limits and not _met(have, active):
                    yield _unmet_error(have, active, f"stacks.toml {kind} it", path, request_line(lock, item))
    for pin in lock.pins:
        for key, value in pin.fields:
            if key == "requires" and not _met(have, value) and requirement.name(value) not in lock.without:
                asks = f"{pin.name}=={pin.version} requires it"
                yield _unmet_error(have, value, asks, path, pin_line(lock, pin.name))


def _broken(lock: PipLock, inherited: Inherited, path: str) -> Iterator[StackbuildError]:
    """What an ancestor's pin requires of a name that is pinned anew here, as an override allows."""
    own = {pin.name: pin for pin in lock.pins}
    for image, other in inherited:
        for pin in other.pins:
            for key, value in pin.fields:
                one = own.get(requirement.name(value)) if key == "requires" else None
                if one is not None and not requirement.satisfies(one.version, value):
                    yield StackbuildError(
                        f"an override breaks its parent: {pin.name}=={pin.version} of {image} requires {value}",
                        where=f"{path}:{pin_line(lock, one.name)}",
                        got=f"{one.name}=={one.version}",
                        next_step=f"override {pin.name} too, or take another version of {one.name}",
                    )


def _met(have: Mapping[str, str], item: str) -> bool:
    version = have.get(requirement.name(item))
    return version is not None and requirement.satisfies(version, item)


def _unmet_error(have: Mapping[str, str], item: str, asks: str, path: str, line: int) -> StackbuildError:
    name = requirement.name(item)
    return StackbuildError(
        f"lock is no solution: {item} is not met",
        where=f"{path}:{line}",
        expected=f"{item}; {asks}",
        got=f"{name}=={have[name]}" if name in have else f"no pin of {name}",
        next_step="stackbuild lock",
    )


def _unasked(lock: PipLock, pinned: Mapping[str, tuple[str, Pin]], path: str) -> Iterator[StackbuildError]:
    """Pins that neither the request nor any asked-for pin requires, as a merge may leave behind."""
    own = {pin.name: pin for pin in lock.pins}
    values = environment(lock.python, lock.platform)
    reached = {requirement.name(item) for item in requirement.active(lock.request, values)}
    reached |= {pin.name for pin in lock.pins if any(name in pinned for name in pin.via)}
    queue = sorted(reached)
    while queue:
        pin = own.get(queue.pop())
        for key, value in pin.fields if pin else ():
            if key == "requires" and (name := requirement.name(value)) not in reached:
                reached.add(name)
                queue.append(name)
    for pin in lock.pins:
        if pin.name not in reached:
            yield StackbuildError(
                f"lock holds what nobody asks for: {pin.name}",
                where=f"{path}:{pin_line(lock, pin.name)}",
                got=f"{pin.name}=={pin.version}, {' '.join(f'via {name}' for name in pin.via) or 'via nobody'}",
                next_step="stackbuild lock",
            )


def _misfit(lock: PipLock, path: str) -> Iterator[StackbuildError]:
    """Wheels whose tags the target cannot load: a pin copied from another platform's lock."""
    fitting = tags(lock.python, lock.platform, lock.glibc)
    for pin in lock.pins:
        if not pin.filename.endswith(".whl") or pin.filename.endswith("-py3-none-any.whl"):
            continue
        try:
            fits = not fitting.keys().isdisjoint(parse_wheel_filename(pin.filename)[3])
        except InvalidWheelFilename:
            fits = False
        if not fits:
            yield StackbuildError(
                f"wheel is not for this target: {pin.name}",
                where=f"{path}:{pin_line(lock, pin.name)}",
                expected=f"a wheel for CPython {lock.python}, {lock.platform}, glibc {lock.glibc}",
                got=pin.filename,
                next_step="stackbuild lock",
            )
