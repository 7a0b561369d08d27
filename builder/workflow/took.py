"""How long actions took, as this store's builds recorded it: what later plans are estimated from.

While several actions run, each is given its share of the time, so that the sum over a build's actions is the time in
which any ran, whatever the number of cores.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from builder.action import Action
from builder.digest import Digest, canonical
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
        self._clock = clock
        self._mutex = threading.Lock()
        self._running: dict[Digest, float] = {}
        self._last = clock()

    def started(self, action: Action) -> None:
        with self._mutex:
            self._share()
            self._running[action.plan_key] = 0.0
        self._watcher.started(action)

    def finished(self, action: Action, how: str) -> None:
        with self._mutex:
            self._share()
            seconds = self._running.pop(action.plan_key, None)
        if seconds is not None and how == "done":
            row = {"milliseconds": round(1000 * seconds), "size": size(action)}
            self._store.write(f"{_ROOM}/{action.plan_key.hex}", canonical(row))
        self._watcher.finished(action, how)

    def _share(self) -> None:
        now = self._clock()
        for one in self._running:
            self._running[one] += (now - self._last) / len(self._running)
        self._last = now


def size(action: Action) -> int:
    """Bytes of the pinned files that an action reads."""
    return sum(pin.size for pin in action.pins)


def took(project: Project, key: Digest, name: str) -> Took | None:
    """How long the action of a plan key took when it was last performed here; else the one that last had its name."""
    found = _read(project.store, key)
    if found is None and (last := explain.last(project, name)) is not None:
        found = _read(project.store, last)
    return found


def _read(store: Store, key: Digest) -> Took | None:
    try:
        row = json.loads((store.path / _ROOM / key.hex).read_bytes())
        return Took(seconds=int(row["milliseconds"]) / 1000, size=int(row["size"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None  # A record is of no account: without it the estimate is by kind.
