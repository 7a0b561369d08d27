"""Which conda packages depend on which, by the locks alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from builder.kinds.conda import request
from builder.kinds.conda.record import fields
from builder.lock import Lock


def requires(locks: Sequence[Lock]) -> Mapping[str, frozenset[str]]:
    """For each pinned name the pinned names that it depends on; virtual packages are none."""
    pins = [pin for lock in locks for pin in lock.pins]
    known = {pin.name for pin in pins}
    return {pin.name: frozenset(map(request.name, fields(pin, "depends"))) & known for pin in pins}


def asked(lock: Lock) -> Mapping[str, str]:
    """The pinned names that the request is about, each with its item."""
    return {request.name(item): item for item in lock.request}
