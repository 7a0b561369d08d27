"""How long actions took, here or on workers, as this store's builds recorded it: what later plans are estimated from.

Of actions that ran at once on one machine, it is the share of each (`executors/shares.py`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass

from builder.action import Action
from builder.digest import Digest, canonical
from builder.executors.shares import Shares
from builder.executors.step import Watcher
from builder.store import Store
from builder.workflow import explain
from builder.workflow.project import Project

_ROOM = "took"


@dataclass(frozen=True, slots=True, kw_only=True)
class Took:
    """A record.

    Attributes:
        seconds: its share of the time.
        size: bytes of the pinned files that it read.
    """

    seconds: float
    size: int


class Timed:
    """A watcher that records what another one is told; methods may be called from any thread."""

    def __init__(self, store: Store, watcher: Watcher, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._watcher = watcher
        self._shares = Shares(clock)

    def started(self, action: Action) -> None:
        self._shares.start(action.plan_key)
        self._watcher.started(action)

    def finished(self, action: Action, how: str) -> None:
        milliseconds = self._shares.stop(action.plan_key)
        if milliseconds is not None and how == "done":
            record(self._store, action, milliseconds)
        self._watcher.finished(action, how)


def record(store: Store, action: Action, milliseconds: int) -> None:
    """Note how long an action took."""
    row = {"milliseconds": milliseconds, "size": size(action)}
    store.write(f"{_ROOM}/{action.plan_key.hex}", canonical(row))


def size(action: Action) -> int:
    """Bytes of the pinned files that an action reads."""
    return sum(pin.size for pin in action.pins)


def took(project: Project, key: Digest, name: str) -> Took | None:
    """How long the action of a plan key took when it was last performed here; else the one that last had its name."""
    found = _read(project.store, key)
    if found is None and (last := explain.last(project, name)) is not None:
        found = _read(project.store, last)
    return found


def expected(project: Project, key: Digest, name: str, size: int) -> float | None:
    """The seconds that an action took here when it was performed last, in proportion to what it reads now: `size`; None
    if it never was."""
    last = took(project, key, name)
    if last is None:
        return None
    return last.seconds * (size / last.size if size and last.size else 1)


def _read(store: Store, key: Digest) -> Took | None:
    try:
        row = json.loads((store.path / _ROOM / key.hex).read_bytes())
        return Took(seconds=int(row["milliseconds"]) / 1000, size=int(row["size"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None  # A record is of no account: without it the estimate is by kind.
