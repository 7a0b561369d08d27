"""How long actions took: their shares of the time, recorded, and what a plan is estimated from."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder import planner
from builder.action import Action
from builder.digest import Digest
from builder.lock import Pin
from builder.store import Store
from builder.workflow import plan
from builder.workflow.keytables import step
from builder.workflow.project import Project
from builder.workflow.took import Timed, Took, took
from tests.e2e.project import ROOT, Site


class Silent:
    """A watcher that remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def started(self, action: Action) -> None:
        self.told.append(f"{action.name} began")

    def finished(self, action: Action, how: str) -> None:
        self.told.append(f"{action.name} {how}")


def action(name: str, version: int = 1, size: int = 10) -> Action:
    digest = Digest.of(f"{name}{version}".encode())
    pin = Pin(kind="apt", name=name, version="1", filename=name, digest=digest, size=size)
    return Action(kind="apt", version=version, name=name, options={"parts": []}, sources={name: pin})


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Site(ROOT, tmp_path / "store").project()


def record(store: Store, *events: tuple[float, str, Action]) -> list[str]:
    """What a watcher behind it is told; an event is a time, "start" or how it came about, and what."""
    times = iter([0.0, *(time for time, _, _ in events)])
    watcher = Silent()
    timed = Timed(store, watcher, clock=lambda: next(times))
    for _, what, one in events:
        if what == "start":
            timed.started(one)
        else:
            timed.finished(one, what)
    return watcher.told


def test_those_that_run_at_once_share_the_time(project: Project) -> None:
    a, b, c = action("a"), action("b"), action("c", size=0)
    told = record(
        project.store,
        (1, "start", a),
        (2, "start", b),
        (6, "done", a),
        (7, "done", b),
        (9, "start", c),
        (9.5, "failed", c),
    )
    assert told == ["a began", "b began", "a done", "b done", "c began", "c failed"]
    assert took(project, a.plan_key, a.name) == Took(seconds=3, size=10)
    assert took(project, b.plan_key, b.name) == Took(seconds=3, size=10)
    assert took(project, c.plan_key, c.name) is None, "what failed says nothing"


def test_what_was_only_looked_up_is_not_recorded(project: Project) -> None:
    record(project.store, (1, "same inputs", action("a")))
    assert took(project, action("a").plan_key, "a") is None


def test_a_bump_is_estimated_from_what_had_its_name(project: Project) -> None:
    """In proportion to the bytes that it reads; without a record, by its kind."""
    former, now = action("a"), action("a", version=2, size=30)
    assert plan._recorded(project, step(now)).seconds == planner.effort(now) == pytest.approx(1.000003)
    record(project.store, (0, "start", former), (4, "done", former))
    project.store.put_action(former.plan_key, former.document, {})
    name = Digest.of(f"{project.manifest.project.name}\0a".encode()).hex
    project.store.write(f"names/{name}", former.plan_key.encode())
    assert took(project, now.plan_key, now.name) == Took(seconds=4, size=10)
    assert plan._recorded(project, step(now)).seconds == 12


def test_a_damaged_record_counts_as_none(project: Project) -> None:
    project.store.write(f"took/{action('a').plan_key.hex}", b'{"milliseconds": "x"}')
    assert took(project, action("a").plan_key, "a") is None
