"""A worker's store is cleared when it has grown beyond a limit: the cache has all of it.

Between two steps nobody needs anything of it. So who is about to begin one waits, once the limit is reached, until
nobody performs any, and one of them clears the store, of what was used least recently first.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Condition

from builder.store import Store

_EVERY = 20.0
"""Seconds between two looks at a store of many files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """How large a store may be.

    Attributes:
        exceeded: whether it is larger.
        clear: makes it smaller, unless somebody else uses it.
    """

    exceeded: Callable[[], bool]
    clear: Callable[[], object]


class Room:
    """Who performs steps in a store is inside; used by many threads.

    Args:
        limit: None for a store that may be as large as it likes.
    """

    def __init__(self, store: Store, limit: Limit | None) -> None:
        self._store = store
        self._limit = limit
        self._changed = Condition()
        self._inside = 0
        self._full = limit is not None and limit.exceeded()
        self._looked = time.monotonic()

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Perform a step in the store; nothing of it goes meanwhile."""
        with self._changed:
            while self._full and self._inside:
                self._changed.wait()
            if self._full and self._limit is not None:
                self._limit.clear()
                self._full = False
            self._inside += 1
        try:
            with self._store.leased():
                yield
        finally:
            grown = self._grown()
            with self._changed:
                self._inside -= 1
                self._full = self._full or grown
                self._changed.notify_all()

    def _grown(self) -> bool:
        if self._limit is None:
            return False
        with self._changed:
            if self._full or time.monotonic() - self._looked < _EVERY:
                return False
            self._looked = time.monotonic()
        return self._limit.exceeded()
