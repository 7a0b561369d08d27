"""Which versions an advisory is about, and which is the first that it is not about (OSV schema 1.7, "Evaluation").

A range is a list of events. Sorted by version they are switches: at `introduced` on, at `fixed` off, behind
`last_affected` off. `introduced: 0` and `fixed: 0` are before every version, `limit: *` is behind every one; a version
at or beyond every `limit` is in no range. A version that is listed in `versions` is affected, whatever the ranges say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from builder.advisories.entry import Affected, Event

Order = Callable[[str], Any]
"""A sort key of a version in its ecosystem; it takes any text."""

_BEGINNING: Final = "0"
_END: Final = "*"
_RANK: Final = {"introduced": 0, "fixed": 0, "last_affected": 1}
"""Of events at one version: `last_affected` is behind it; else they come as the entry has them."""


def affects(affected: Iterable[Affected], version: str, order: Order) -> bool:
    """Whether a version is one of those."""
    ours = order(version)
    return any(
        any(_within(events, ours, order) for events in one.ranges)
        or version in one.versions
        or any(order(other) == ours for other in one.versions)
        for one in affected
    )


def first_fixed(affected: Sequence[Affected], version: str, order: Order) -> str:
    """The lowest version above this one at which a range ends and which is not affected itself; "" for none."""
    ours = order(version)
    ends = {said for one in affected for events in one.ranges for kind, said in events if kind == "fixed"}
    for end in sorted((one for one in ends if order(one) > ours), key=lambda one: (order(one), one)):
        if not affects(affected, end, order):
            return end
    return ""


def _within(events: Sequence[Event], ours: Any, order: Order) -> bool:
    limits = [version for kind, version in events if kind == "limit"]
    if limits and not any(limit == _END or ours < order(limit) for limit in limits):
        return False
    state = False
    switches = [(kind, version) for kind, version in events if kind in _RANK]
    for kind, version in sorted(switches, key=lambda one: _place(one, order)):
        if kind == "introduced":
            state = state or version == _BEGINNING or ours >= order(version)
        elif kind == "fixed":
            state = state and version != _BEGINNING and ours < order(version)
        else:
            state = state and ours <= order(version)
    return state


def _place(event: Event, order: Order) -> tuple[Any, ...]:
    kind, version = event
    if kind == "introduced" and version == _BEGINNING:
        return (0,)
    return (1, order(version), _RANK[kind])
