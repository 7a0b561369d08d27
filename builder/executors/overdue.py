"""Steps that have no end: whoever performs one for too long gives up his work, and others do it.

A step hangs in a script, on a disk, in the kernel; nothing inside of a process ends all of these. So the whole process
ends, with whatever it has started (`orphan.py`, the sandbox), and whoever started it starts it again. What else it
performed is begun anew, too.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event, Lock, Thread, Timer

_FACTOR = 30
"""So many times longer than estimated a step may take: estimates are of an idle machine's own platform."""
_EVERY = 1.0
_LAST_WORDS = 1.0
"""Seconds in which it is told why the process ends."""


def killed() -> None:
    """End this process, whatever its threads do."""
    os.kill(os.getpid(), signal.SIGKILL)


def end_within(seconds: float) -> None:
    """End this process then at the latest: who is asked to end does not wait for a step that has no end."""
    timer = Timer(seconds, killed)
    timer.daemon = True
    timer.start()


@dataclass(slots=True, kw_only=True)
class Patience:
    """Watches what runs; used by many threads.

    Attributes:
        seconds: every step has so many at least.
        over: ends the process.
    """

    seconds: float
    over: Callable[[], None] = killed
    _until: dict[int, _Deadline] = field(default_factory=dict)
    _mutex: Lock = field(default_factory=Lock)
    _ended: Event = field(default_factory=Event)
    _next: int = 0

    def begin(self, estimate: int, late: Callable[[float], None]) -> int:
        """A step begins; what to call it.

        Args:
            estimate: milliseconds that it is thought to take.
            late: is told, when its time is over, how many seconds that was.
        """
        seconds = max(self.seconds, _FACTOR * estimate / 1000)
        with self._mutex:
            self._next += 1
            self._until[self._next] = _Deadline(time.monotonic() + seconds, seconds, late)
            return self._next

    def end(self, number: int) -> None:
        with self._mutex:
            self._until.pop(number)

    def watch(self) -> None:
        """Look at what runs, in a thread, until `stop`."""
        Thread(target=self._watch, daemon=True).start()

    def stop(self) -> None:
        self._ended.set()

    def _watch(self) -> None:
        while not self._ended.wait(_EVERY):
            with self._mutex:
                late = [one for one in self._until.values() if one.at < time.monotonic()]
            if late:
                for one in late:
                    one.late(one.seconds)
                self._ended.wait(_LAST_WORDS)
                self.over()
                return


@dataclass(frozen=True, slots=True)
class _Deadline:
    at: float
    seconds: float
    late: Callable[[float], None]
