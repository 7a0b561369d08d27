"""A step without an end ends its worker."""

from __future__ import annotations

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
