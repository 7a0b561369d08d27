"""Which Python packages require which, by the locks alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from builder.kinds.pip.requirement import name
from builder.lock import Lock


def requires(locks: Sequence[Lock]) -> Mapping[str, frozenset[str]]:
    """For each pinned name the pinned names that it requires, extras that were asked for included.

    What an ancestor's package requires under an extra that only a child asks for stands in no `requires` line, so the
    child's `via` lines count too.
    """
    pins = [pin for lock in locks for pin in lock.pins]
    found: dict[str, set[str]] = {pin.name: set() for pin in pins}
    for pin in pins:
        found[pin.name] |= {name(value) for key, value in pin.fields if key == "requires"} & found.keys()
        for via in found.keys() & set(pin.via):
            found[via].add(pin.name)
    return {one: frozenset(needs) for one, needs in found.items()}


def asked(lock: Lock) -> Mapping[str, str]:
    """The pinned names that the request is about, each with its item."""
    return {name(item): item for item in lock.request}
