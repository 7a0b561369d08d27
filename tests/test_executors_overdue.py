"""A step without an end ends its worker."""

from __future__ import annotations

import signal
import subprocess
import sys
from threading import Event

import pytest

from builder.executors import overdue
from builder.executors.overdue import Patience


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overdue, "_EVERY", 0.01)
    monkeypatch.setattr(overdue, "_LAST_WORDS", 0.0)


def test_whoever_performs_for_too_long_ends() -> None:
    over, said = Event(), list[float]()
    patience = Patience(seconds=0.01, over=over.set)
    patience.watch()
    patience.begin(0, said.append)
    assert over.wait(60)
    assert said == [0.01]


def test_what_is_expected_to_take_long_has_its_time() -> None:
    over, said = Event(), list[float]()
    patience = Patience(seconds=0.01, over=over.set)
    patience.begin(3_600_000, said.append)
    patience.end(patience.begin(0, said.append))
    patience.watch()
    patience.begin(1, said.append)  # 30 ms: the only one whose time comes.
    assert over.wait(60)
    assert said == [0.03]


def test_who_is_asked_to_end_waits_for_nothing_that_has_no_end() -> None:
    program = (
        "import threading; from builder.executors.overdue import end_within; end_within(0.05); threading.Event().wait()"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == -signal.SIGKILL
