"""What is being fetched and made, how much and how long: live on a terminal, plain lines elsewhere. To stderr."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from builder.action import Action
from builder.fetching import gigabytes
from builder.lock import Pin


class Plain:
    """A line when something has finished, and for fetching one at most every few seconds."""

    EVERY = 5.0

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._began: dict[str, float] = {}
        self._fetched = 0
        self._last = time.monotonic()

    def started(self, action: Action) -> None:
        with self._mutex:
            self._began[action.plan_key] = time.monotonic()

    def finished(self, action: Action, how: str) -> None:
        with self._mutex:
            began = self._began.pop(action.plan_key, None)
            took = f" in {time.monotonic() - began:.1f} s" if began is not None else ""
            self.say(f"{action.name}: {how}{took}")

    def fetched(self, pin: Pin, count: int) -> None:
        with self._mutex:
            self._fetched += count
            if time.monotonic() - self._last > self.EVERY:
                self._last = time.monotonic()
                self.say(f"fetched {gigabytes(self._fetched)}")

    def say(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    def close(self) -> None:
        if self._fetched:
            self.say(f"fetched {gigabytes(self._fetched)} in all")


class Live(Plain):
    """The same with a line at the bottom that says what is going on just now."""

    def __init__(self) -> None:
        super().__init__()
        from rich.console import Console
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
        self._task = self._bar.add_task("planning")
        self._names: dict[str, str] = {}
        self._bar.start()

    def started(self, action: Action) -> None:
        super().started(action)
        self._names[action.plan_key] = action.name
        self._show()

    def finished(self, action: Action, how: str) -> None:
        super().finished(action, how)
        self._names.pop(action.plan_key, None)
        self._show()

    def fetched(self, pin: Pin, count: int) -> None:
        self._fetched += count
        self._show()

    def say(self, line: str) -> None:
        self._bar.console.print(line, highlight=False, markup=False)

    def close(self) -> None:
        super().close()
        self._bar.stop()

    def _show(self) -> None:
        names = sorted(self._names.values())
        doing = ", ".join(names[:2]) + (f" and {len(names) - 2} more" if len(names) > 2 else "")
        fetched = f"fetched {gigabytes(self._fetched)}; " if self._fetched else ""
        self._bar.update(self._task, description=fetched + (doing or "waiting for files"))


@contextmanager
def progress() -> Iterator[Plain]:
    """The form that suits where stderr goes."""
    shown = Live() if sys.stderr.isatty() else Plain()
    try:
        yield shown
    finally:
        shown.close()
