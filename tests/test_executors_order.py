"""Orders and outcomes: what was sent is what is performed, and nonsense is refused."""

from __future__ import annotations

import json
import pickle
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from builder.action import Action
from builder.digest import Digest
from builder.errors import HostileInput, Problems, StackbuildError, Unreachable
from builder.executors.bench import waited_for
from builder.executors.order import Failed, Order, Outcome, Shop, order, outcome
from builder.lock import Pin
from builder.store import Store

SHOP = Shop(manifest="[project]\n", place="oci://registry.example/cache")


def pin(name: str) -> Pin:
    return Pin(
        kind="pip", name=name, version="1.0", filename=f"{name}.whl", digest=Digest.of(name.encode()), size=5,
        source="own", via=("stacks.toml",), fields=(("requires", "x>=1"), ("requires", "y")),
    )  # fmt: skip


@pytest.fixture
def sent(tmp_path: Path) -> Order:
    below = Action(kind="apt", version=3, name="below", options={"a": [1, None]}, platform="linux/amd64")
    built = Action(kind="pip.sdist", version=1, name="built", options={}, sources={"sdist": pin("s")}, layers=False)
    over = Action(kind="apt", version=3, name="over", options={}, needs={"below": below})
    (tmp_path / "file").write_bytes(b"own")
    action = Action(
        kind="run", version=1, name="step", options={"é": "\t"}, platform="linux/amd64",
        needs={"0": below, "1": over, "again": below, "wheel": built}, sources={"w": pin("w")}, tools={"t": pin("t")},
        local={Digest.of(b"own"): tmp_path / "file"},
    )  # fmt: skip
    known = Outcome(result={"layers": []}, sizes={Digest.of(b"x"): 3})
    return Order(shop=SHOP, action=action, local={Digest.of(b"own"): 3}, given={over.plan_key: known})


def test_an_order_arrives_as_it_was(sent: Order, store: Store) -> None:
    found = order(sent.dumps(), store)
    assert (found.shop, found.local, found.given) == (sent.shop, sent.local, sent.given)
    one, other = sent.action, found.action
    assert other.plan_key == one.plan_key
    assert (other.name, other.layers, other.pins) == (one.name, one.layers, one.pins)
    for role, need in one.needs.items():
        assert other.needs[role].plan_key == need.plan_key
        assert other.needs[role].document == need.document
        assert (other.needs[role].name, other.needs[role].layers) == (need.name, need.layers)


def test_an_order_names_no_file_of_the_client(sent: Order, store: Store, tmp_path: Path) -> None:
    assert str(tmp_path / "file") not in sent.dumps()
    assert order(sent.dumps(), store).action.local == {Digest.of(b"own"): store.source(Digest.of(b"own"))}


def test_what_is_given_is_not_waited_for(sent: Order) -> None:
    needs = sent.action.needs
    assert waited_for(sent.action, sent.given) == sorted({needs["0"].plan_key, needs["wheel"].plan_key})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("key", "sha256:" + "0" * 64),
        ("version", 2),
        ("options", {}),
        ("sources", {}),
        ("needs", {"0": {}}),
        ("kind", []),
    ],
)
def test_an_order_whose_key_is_another_is_refused(name: str, value: Any, sent: Order, store: Store) -> None:
    with pytest.raises(HostileInput):
        order(json.dumps({**json.loads(sent.dumps()), name: value}), store)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"result": {}, "sizes": {"../x": 1}, "how": ""}'])
def test_no_outcome(text: str) -> None:
    with pytest.raises(HostileInput):
        outcome(text)


def test_an_outcome_arrives_as_it_was() -> None:
    one = Outcome(result={"layers": [{"digest": "é"}]}, sizes={Digest.of(b"x"): 3}, how="done")
    assert asdict(outcome(one.dumps())) == asdict(one)


def failed(error: StackbuildError) -> Failed:
    one = Failed(error.what)
    one.key, one.error, one.log, one.log_path, one.worker = "k", error, "said", "/store/logs/k.txt", "w1"
    found: Failed = pickle.loads(pickle.dumps(one))
    return found


def test_a_failure_is_told_with_the_log_that_is_here(tmp_path: Path) -> None:
    error = StackbuildError(
        "step failed: x", where="log: /store/logs/k.txt", got="said", next_step="stackbuild shell --at k"
    )
    found = failed(error).here(tmp_path / "k.txt")
    assert found.where == f"log: {tmp_path / 'k.txt'}"
    assert found.next_step == "on the worker w1: stackbuild shell --at k"
    assert (found.what, found.got) == (error.what, error.got)


def test_only_what_may_pass_is_ordered_again() -> None:
    assert failed(Unreachable("no answer")).passing
    assert failed(Problems([Unreachable("a"), Unreachable("b")])).passing
    assert not failed(Problems([Unreachable("a"), HostileInput("b")])).passing
    assert not failed(StackbuildError("step failed")).passing
