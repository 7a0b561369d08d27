"""How long each of several actions took that ran at once on one machine.

While several run, each is given its share of the time, so that the sum over all is the time in which any ran, whatever
the number of cores.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from builder.digest import Digest


class Shares:
    """A clock for many threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._mutex = threading.Lock()
        self._running: dict[Digest, float] = {}
        self._last = clock()

    def start(self, key: Digest) -> None:
        with self._mutex:
            self._divide()
            self._running[key] = 0.0

    def stop(self, key: Digest) -> int | None:
        """Milliseconds of its share; None if it was not started."""
        with self._mutex:
            self._divide()
            seconds = self._running.pop(key, None)
        return None if seconds is None else round(1000 * seconds)

    def _divide(self) -> None:
        now = self._clock()
        for one in self._running:
            self._running[one] += (now - self._last) / len(self._running)
        self._last = now
