"""Performing a plan: early cutoff, failures, vanished results, duplicates."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from builder.action import Action, Result, Workshop
from builder.digest import Digest
from builder.errors import Problems, StackbuildError
from builder.executors.local import execute, workshop
from builder.plan import Plan
from builder.store import Store

Perform = Callable[[Action, Mapping[str, Result], Workshop], Result]


@dataclass
class Bench:
    """A temporary kind whose actions do what the test says; counts what was performed."""

    store: Store
    does: dict[str, Callable[[Mapping[str, Result]], Result]] = field(default_factory=dict)
    performed: Counter[str] = field(default_factory=Counter)
    told: dict[str, str] = field(default_factory=dict)
    fetched: list[str] = field(default_factory=list)

    def perform(self, action: Action, results: Mapping[str, Result], _: Workshop) -> Result:
        self.performed[action.name] += 1
        does = self.does.get(action.name)
        return does(results) if does else {"layers": [], "said": action.name}

    def started(self, action: Action) -> None: ...

    def finished(self, action: Action, how: str) -> None:
        self.told[action.name] = how

    def build(self, *wanted: Action) -> Counter[str]:
        """Build; returns what was performed this time."""
        self.performed = Counter()
        self.told.clear()
        plan = Plan.of(wanted)
        execute(plan, plan.stale(self.store, wanted), self.store, jobs=2, fetch=lambda pins: None, watcher=self)
        return self.performed

    def layer(self, data: bytes) -> dict[str, Any]:
        digest = self.store.put_blob(data)
        with self.store.new_source() as incoming:
            incoming.write(data)
            incoming.commit(digest)
        return {"name": "x", "digest": digest, "listing": digest}


@pytest.fixture
def bench(store: Store, monkeypatch: pytest.MonkeyPatch) -> Bench:
    found = Bench(store)
    monkeypatch.setattr("builder.executors.local.perform", found.perform)
    return found


def action(name: str, *needs: Action, version: int = 1) -> Action:
    return Action(kind="fake", version=version, name=name, options=name, needs={need.name: need for need in needs})


def test_results_are_kept(bench: Bench) -> None:
    base = action("base")
    top = action("top", base, action("side", base))
    assert bench.build(top) == {"base": 1, "side": 1, "top": 1}
    assert bench.build(top) == {}
    assert (bench.store.action(top.plan_key) or {})["result"] == {"layers": [], "said": "top"}
    assert (bench.store.action(top.plan_key) or {})["document"] == top.document


def test_results_reach_their_readers(bench: Bench) -> None:
    bench.does["top"] = lambda results: {"got": dict(results)}
    top = action("top", action("a"), action("b"))
    bench.build(top)
    wanted = {name: {"layers": [], "said": name} for name in "ab"}
    assert (bench.store.action(top.plan_key) or {})["result"] == {"got": wanted}


def test_early_cutoff(bench: Bench) -> None:
    """An input that changes, but gives an equal result, is all that is performed."""
    bench.build(action("top", action("middle", action("base"))))
    changed = action("top", action("middle", action("base", version=2)))
    assert bench.build(changed) == {"base": 1}
    assert bench.told == {"base": "done", "middle": "same inputs", "top": "same inputs"}
    assert bench.build(changed) == {}


def test_another_result_is_read_anew(bench: Bench) -> None:
    bench.build(action("top", action("base")))
    bench.does["base"] = lambda _: {"layers": [], "said": "something else"}
    assert bench.build(action("top", action("base", version=2))) == {"base": 1, "top": 1}


def _fail(_: object) -> Result:
    raise StackbuildError("it failed")


def test_failure_leaves_others_finished(bench: Bench) -> None:
    bench.does["bad"] = _fail
    wanted = [action("above", action("bad")), action("fine", action("base")), action("worse", action("bad"))]
    with pytest.raises(Problems) as caught:
        bench.build(*wanted)
    assert [error.what for error in caught.value.problems] == ["it failed"]
    assert bench.performed == {"bad": 1, "fine": 1, "base": 1}
    assert bench.told == {"bad": "failed", "fine": "done", "base": "done"}
    del bench.does["bad"]
    assert bench.build(*wanted) == {"bad": 1, "above": 1, "worse": 1}


def test_all_failures_are_told(bench: Bench) -> None:
    for name in ("a", "b", "c"):
        bench.does[name] = _fail
    with pytest.raises(Problems) as caught:
        bench.build(*(action(name) for name in "abc"))
    assert len(caught.value.problems) == 3


def test_vanished_blob_is_built_again(bench: Bench) -> None:
    bench.does["base"] = lambda _: {"layers": [bench.layer(b"base")]}
    bench.does["top"] = lambda results: {"layers": [*results["base"]["layers"], bench.layer(b"top")]}
    top = action("top", action("base"))
    bench.build(top)
    for gone in (bench.store.blob(Digest.of(b"top")), bench.store.source(Digest.of(b"top"))):
        gone.unlink()
        assert bench.build(top) == {"top": 1}
        assert gone.exists()
    bench.store.blob(Digest.of(b"base")).unlink()
    assert bench.build(top) == {"base": 1}
    assert bench.build(top) == {}


def test_flipped_bit_heals(bench: Bench) -> None:
    bench.does["base"] = lambda _: {"layers": [bench.layer(b"base")]}
    bench.build(action("base"))
    path = bench.store.blob(Digest.of(b"base"))
    path.write_bytes(b"bAse")
    with pytest.raises(StackbuildError, match="has changed"):
        bench.store.checked(path)
    assert bench.build(action("base")) == {"base": 1}
    assert bench.store.checked(path).read_bytes() == b"base"


def test_damaged_action_is_performed_again(bench: Bench) -> None:
    top = action("top")
    bench.build(top)
    for path in (bench.store.path / "actions").iterdir():
        path.write_bytes(path.read_bytes()[:-1])
    assert bench.build(top) == {"top": 1}


def test_equal_actions_of_two_targets_are_one(bench: Bench) -> None:
    one = Action(kind="fake", version=1, name="of cpu", options="same")
    two = Action(kind="fake", version=1, name="of cuda", options="same")
    assert bench.build(action("a", one), action("b", two)).total() == 3


def test_equal_inputs_at_the_same_time_are_performed_once(bench: Bench) -> None:
    """Two actions whose inputs differ in their plans, and are equal once built, were both performed."""
    bench.does |= dict.fromkeys(("left", "right"), lambda _: {"layers": []})

    def slow(_: object) -> Result:
        time.sleep(0.1)
        return {"layers": []}

    bench.does["reader"] = slow
    readers = [
        Action(kind="fake", version=1, name="reader", options="r", needs={"in": action(side)})
        for side in ("left", "right")
    ]
    assert bench.build(*readers) == {"left": 1, "right": 1, "reader": 1}
    assert all(bench.store.action(one.plan_key) for one in readers)


def test_two_builds_at_once_perform_once(bench: Bench) -> None:
    def slow(_: object) -> Result:
        time.sleep(0.1)
        return {"layers": []}

    bench.does["top"] = slow
    top = action("top")
    plan = Plan.of([top])

    def build() -> None:
        execute(plan, frozenset({top.plan_key}), bench.store, jobs=1, fetch=lambda pins: None, watcher=bench)

    threads = [threading.Thread(target=build) for _ in range(3)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert bench.performed == {"top": 1}


def test_unexpected_error_is_not_swallowed(bench: Bench) -> None:
    def broken(_: object) -> Result:
        raise ZeroDivisionError

    bench.does["bad"] = broken
    with pytest.raises(ZeroDivisionError):
        bench.build(action("bad"), action("fine"))
    assert bench.store.action(action("bad").plan_key) is None


def _in_the_pool(path: Path) -> str:
    raise Problems([StackbuildError(f"one of {path}", got="x"), StackbuildError("two")])


def test_errors_come_back_from_the_pool(store: Store) -> None:
    """An error of several problems could not be unpickled, which breaks the whole pool."""
    with workshop(store, 1) as make, pytest.raises(Problems) as caught:
        make(store.path / "log").heavy(_in_the_pool, store.path).result(30)
    assert [error.got for error in caught.value.problems] == ["x", ""]
