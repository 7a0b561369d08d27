"""One line of the table."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.place import Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A measured promise.

    Attributes:
        ratio: ours to the peer's in the same run, or None where there is no peer.
        notes: what else belongs to the result, a line each.
    """

    what: str
    goal: str
    result: str
    kept: bool
    ratio: float | None = None
    notes: tuple[str, ...] = ()


Measure = Callable[[Place], Row]


def median(seconds: Sequence[float]) -> float:
    return statistics.median(seconds)


def spread(seconds: Sequence[float]) -> str:
    """`12.3 s`, with the extremes where there is more than one."""
    if len(seconds) == 1:
        return f"{seconds[0]:.2f} s"
    return f"{median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f}, n={len(seconds)})"


def ratio(ours: Sequence[float], peers: Sequence[float]) -> float:
    """The median of the ratios of neighbours, so that a machine that slows down slows both."""
    return median([one / other for one, other in zip(ours, peers, strict=True)])
