"""Performing a plan: early cutoff, failures, vanished results, duplicates."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from builder.action import Action, Result, Workshop
from builder.digest import Digest
from builder.errors import Problems, StackbuildError
from builder.executors.local import execute, workshop
from builder.lock import Pin
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
    asked: list[tuple[str, ...]] = field(default_factory=list)

    def perform(self, action: Action, results: Mapping[str, Result], _: Workshop) -> Result:
        assert {pin.name for pin in action.pins} <= set(self.fetched), "performed before its sources were there"
        self.performed[action.name] += 1
        does = self.does.get(action.name)
        return does(results) if does else {"layers": [], "said": action.name}

    def fetch(self, pins: tuple[Pin, ...]) -> None:
        """Each file takes a moment, so that who does not wait for it is seen."""
        self.asked.append(tuple(pin.name for pin in pins))
        time.sleep(0.02 * len(pins))
        self.fetched += [pin.name for pin in pins]

    def started(self, action: Action) -> None: ...

    def finished(self, action: Action, how: str) -> None:
        self.told[action.name] = how

    def build(self, *wanted: Action) -> Counter[str]:
        """Build; returns what was performed this time."""
        self.performed = Counter()
        self.told.clear()
        plan = Plan.of(wanted)
        execute(plan, plan.stale(self.store, wanted), self.store, jobs=2, fetch=self.fetch, watcher=self)
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
    monkeypatch.setattr("builder.executors.step.perform", found.perform)
    return found


def action(name: str, *needs: Action, version: int = 1) -> Action:
    return Action(kind="fake", version=version, name=name, options=name, needs={need.name: need for need in needs})


def pin(name: str, size: int) -> Pin:
    return Pin(kind="fake", name=name, version="1", filename=name, digest=Digest.of(name.encode()), size=size)


def test_sources_and_tools_are_there_before_an_action_is_performed(bench: Bench) -> None:
    base = replace(action("base"), sources={"a": pin("a", 1)}, tools={"b": pin("b", 1)})
    top = replace(action("top", base), sources={"c": pin("c", 1)})
    assert bench.build(top) == {"base": 1, "top": 1}
    assert sorted(bench.fetched) == ["a", "b", "c"]


def test_what_is_known_by_its_key_fetches_nothing(bench: Bench) -> None:
    low = replace(action("low"), sources={"a": pin("a", 1)})
    bench.does["low"] = lambda _: {"layers": []}
    bench.build(replace(action("top", low), sources={"b": pin("b", 1)}))
    bench.fetched.clear()
    moved = replace(action("low", version=2), sources={"a": pin("a", 2)})
    top = replace(action("top", moved), sources={"b": pin("b", 1)})
    assert bench.build(top) == {"low": 1}
    assert bench.fetched == ["a"], "top's inputs came to the same result, so its own sources are not wanted"


def test_the_heaviest_begin_first_with_all_that_waits_for_them(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builder.executors.local._AWAITED", 1)
    light, heavy = (replace(action(name), sources={name: pin(name, size)}) for name, size in (("a", 1), ("z", 100)))
    low = replace(action("low"), sources={"low": pin("low", 1)})
    long = replace(action("long", low), sources={"long": pin("long", 1000)})
    bench.build(light, heavy, long)
    assert [name for (name,) in bench.asked][:3] == ["low", "z", "a"]


def test_one_that_waits_for_its_sources_holds_up_no_other(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """More actions than threads that perform: all of their downloads had begun before the first was done."""
    many = [replace(action(f"n{number}"), sources={"x": pin(f"x{number}", 1)}) for number in range(20)]
    gate = threading.Barrier(20, timeout=120)

    def fetch(pins: tuple[Pin, ...]) -> None:
        gate.wait()
        bench.fetched.extend(pin.name for pin in pins)

    monkeypatch.setattr(bench, "fetch", fetch)
    assert len(bench.build(*many)) == 20


def test_what_has_not_begun_when_something_breaks_off_never_does(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """^C, or an error that is none of ours: hundreds of downloads came first."""
    many = [replace(action(f"n{number:03}"), sources={"x": pin(f"x{number:03}", 1)}) for number in range(300)]

    def fetch(pins: tuple[Pin, ...]) -> None:
        time.sleep(0.05)
        bench.fetched.extend(pin.name for pin in pins)
        raise RuntimeError("broken")

    monkeypatch.setattr(bench, "fetch", fetch)
    with pytest.raises(RuntimeError):
        bench.build(*many)
    assert len(bench.fetched) < 200


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
        make(store.path / "log").heavy(_in_the_pool, store.path).result(120)
    assert [error.got for error in caught.value.problems] == ["x", ""]
