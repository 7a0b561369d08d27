"""Sets whose pins move as one: `together = true`, for what a vendor releases and tests as one stack.

That they fit each other no lock can prove. What can be seen is a bump of one that left the others where they were:
torch went on and torchvision stayed, a driver moved and the plugin built for it did not. A member may stay

- where the requests of all members were touched: whoever did that has looked at each of them;
- where the command itself let the set move: `--upgrade`, or `--upgrade-package` of any member, which frees them all.

A set may have members of several kinds (apt's driver, pip's torch); pins of one target are compared.

What a vendor does say, in versions: that a driver and a library are of one release. Kinds write the rest of a version
each in its own way (`1.21.0-555` of apt, `1.21.0.555` of pip), so `same-release` compares the first three numbers.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase

from builder.errors import StackbuildError
from builder.lock import Lock, Pin
from builder.locks import formats
from builder.manifest.image import PackageSet
from builder.manifest.model import Manifest, Target
from builder.manifest.shape import request_name

Before = Mapping[str, Lock | None]
"""Kind of lock → the target's lock."""


def widened(manifest: Manifest, names: Collection[str]) -> frozenset[str]:
    """The names, and those of all sets that move as one with any of them; normalised."""
    found = {request_name(one) for one in names}
    for one in manifest.sets.values():
        members = {name for asks in (one.asks, *one.on.values()) for name in _names(asks)}
        if one.together and members & found:
            found |= members
    return frozenset({*names, *found})


def problems(
    manifest: Manifest, target: Target, before: Before, after: Before, allowed: Collection[str]
) -> Iterator[StackbuildError]:
    """Sets of the target's image of which some pins moved and others did not.

    Args:
        allowed: names that the command let move, widened.
    """
    for name in manifest.images[target.image].use:
        one = manifest.sets[name]
        if not one.together:
            continue
        members = {(kind, member) for kind in before for member in _members(manifest, target, one, kind)}
        if any(member in allowed for _, member in members):
            continue
        moved, stayed = [], []
        for kind, member in sorted(members):
            was, now = _version(before[kind], member), _version(after.get(kind), member)
            if was and now and was != now:
                moved.append(f"{member} {was} → {now}")
            elif was and now and _request(before[kind], member) == _request(after.get(kind), member):
                stayed.append(f"{member} {was}")
        if moved and stayed:
            yield StackbuildError(
                f"set {name} moves as one: {target}",
                where=f"{manifest.path.name}:{manifest.lines.get(f'sets.{name}', 1)}",
                expected="all of its pins to move, or all of its requests to be touched",
                got=f"moved: {', '.join(moved)}; not moved: {', '.join(stayed)}",
                next_step=f"bump the others too, or if they are meant to stay: "
                f"stackbuild lock -P {stayed[0].partition(' ')[0]}",
            )


def unlike(manifest: Manifest, target: Target, pins: Iterable[Pin]) -> Iterator[StackbuildError]:
    """Sets of the target's image whose `same-release` names have versions of several releases.

    Args:
        pins: the target's, own and inherited; looked at only if a set says anything of releases.
    """
    sets = [one for name in manifest.images[target.image].use if (one := manifest.sets[name]).same_release]
    known = [*pins] if sets else []
    for one in sets:
        wanted = [request_name(name) for name in one.same_release]
        found = {pin.name: pin for pin in known if any(fnmatchcase(request_name(pin.name), name) for name in wanted)}
        if len({_release(pin.version) for pin in found.values()}) > 1:
            yield StackbuildError(
                f"set {one.name} is of one release: {target}",
                where=f"{manifest.path.name}:{manifest.lines.get(f'sets.{one.name}', 1)}",
                expected="versions that agree in their first three numbers",
                got=", ".join(f"{pin.kind} {name} {pin.version}" for name, pin in sorted(found.items())),
                next_step="pin all of them to one release, then: stackbuild lock",
            )


def _release(version: str) -> tuple[int, ...]:
    """The first three numbers of a version without its epoch, those that are left out as 0."""
    bare = re.sub(r"^\d+[:!]", "", version)
    numbers = [int(one) for one in (re.match(r"\d+(\.\d+)*", bare) or [""])[0].split(".") if one]
    return tuple([*numbers, 0, 0, 0][:3])


def _members(manifest: Manifest, target: Target, one: PackageSet, kind: str) -> set[str]:
    """The names of a kind that the set asks for in this target."""
    prefix = f"sets.{one.name}"
    tables = (asks for path, asks in manifest.asking(target) if path == prefix or path.startswith(f"{prefix}.on."))
    return {name for asks in tables for name in _names(asks, kind)}


def _names(asks: Mapping[str, object], kind: str = "") -> Iterator[str]:
    """The names that a table asks for, of all kinds that pin or of one."""
    for key in [kind] if kind else formats():
        items = asks.get(key, ())
        if isinstance(items, tuple):
            yield from (request_name(item) for item in items if isinstance(item, str))


def _version(lock: Lock | None, name: str) -> str:
    return next((pin.version for pin in lock.pins if request_name(pin.name) == name), "") if lock else ""


def _request(lock: Lock | None, name: str) -> str:
    return next((item for item in lock.request if request_name(item) == name), "") if lock else ""
