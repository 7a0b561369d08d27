"""How far a target has come: locked, built, checked. `workflow/status.py` finds it out."""

from __future__ import annotations

from dataclasses import dataclass, field

from builder.checked import Scores
from builder.manifest.model import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """One target.

    Attributes:
        locked: "yes", "awaits" or what is wrong with its locks.
        awaits: the sources that its locks wait for; none where it is locked.
        built: "yes", "no", or "stale".
        because: the first reason of a stale or missing build.
        size: bytes of its layers, compressed; 0 if it is not built.
        unproven: its steps, and its ancestors', that nobody has seen to do the same twice; `verify` does.
        checked: what contracts came to on this very build; without those that were not tried.
    """

    target: Target
    locked: str
    awaits: tuple[str, ...] = ()
    built: str = "no"
    because: str = ""
    size: int = 0
    unproven: tuple[str, ...] = ()
    checked: Scores = field(default_factory=dict)
