"""What runs in the background gives way, alone, and for good."""

from __future__ import annotations

import os
import threading

import pytest

from builder.background import background


def _in_a_thread() -> tuple[int, int]:
    """Policy and niceness of a thread that called it; the test's own stay as they are."""
    found: list[tuple[int, int]] = []

    def call() -> None:
        background()
        found.append((os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, threading.get_native_id())))

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    return found[0]


def test_only_the_thread_that_asks_gives_way() -> None:
    before = os.sched_getscheduler(0)
    policy, _ = _in_a_thread()
    assert policy == os.SCHED_IDLE
    assert os.sched_getscheduler(0) == before


def test_where_a_sandbox_forbids_it_niceness_has_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> None:
        raise PermissionError(1, "seccomp says no")

    monkeypatch.setattr(os, "sched_setscheduler", forbidden)
    policy, niceness = _in_a_thread()
    assert policy == os.SCHED_OTHER
    assert niceness == 19
