"""Orders: what was sent is what is performed, and nonsense is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from builder.action import Action
from builder.digest import Digest
from builder.errors import HostileInput
from builder.executors import fields
from builder.executors.order import Order, Shop, order, waited_for
from builder.executors.outcome import Outcome
from builder.lock import Pin
from builder.store import Store

SHOP = Shop(
    program="1.0-0", manifest=Digest.of(b"[project]"), size=9, place="oci://registry.example/cache",
    plain_http=("registry.example",), require_signature=True,
)  # fmt: skip


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
        needs={"wheel": built, "0": below, "1": over, "again": below}, sources={"w": pin("w"), "a": pin("a")},
        tools={"t": pin("t")},
        local={Digest.of(b"own"): tmp_path / "file"},
    )  # fmt: skip
    known = Outcome(result={"layers": []}, sizes={Digest.of(b"x"): 3})
    return Order(shop=SHOP, action=action, local={Digest.of(b"own"): 3}, given={over.plan_key: known}, estimate=7)


def test_an_order_arrives_as_it_was(sent: Order, store: Store) -> None:
    found = order(sent.dumps(), store)
    assert (found.shop, found.local, found.given) == (sent.shop, sent.local, sent.given)
    assert found.estimate == 7
    one, other = sent.action, found.action
    assert other.plan_key == one.plan_key
    assert (other.name, other.layers, other.pins) == (one.name, one.layers, one.pins)
    assert list(other.needs) == list(one.needs)  # What is performed may go by it.
    assert list(other.sources) == list(one.sources)
    for role, need in one.needs.items():
        assert other.needs[role].plan_key == need.plan_key
        assert other.needs[role].document == need.document
        assert (other.needs[role].name, other.needs[role].layers) == (need.name, need.layers)


def test_an_order_names_no_file_of_the_client(sent: Order, store: Store, tmp_path: Path) -> None:
    assert str(tmp_path / "file") not in sent.dumps()
    assert order(sent.dumps(), store).action.local == {Digest.of(b"own"): store.source(Digest.of(b"own"))}


def test_what_is_given_is_not_waited_for(sent: Order) -> None:
    needs = sent.action.needs
    found = [one.plan_key for one in waited_for(sent.action, sent.given)]
    assert found == sorted({needs["0"].plan_key, needs["wheel"].plan_key})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("key", "sha256:" + "0" * 64),
        ("version", 2),
        ("options", {}),
        ("sources", []),
        ("sources", {"w": {}}),
        ("needs", [["0", {}]]),
        ("kind", []),
        ("kind", "moon"),
        ("estimate", -1),
        ("local", {"sha256:" + "0" * 64: True}),
        ("given", {"sha256:" + "0" * 64: {}}),
        ("name", "a\x1b[2J"),
        ("shop", {}),
    ],
)
def test_an_order_that_was_changed_is_refused(name: str, value: Any, sent: Order, store: Store) -> None:
    with pytest.raises(HostileInput):
        order(json.dumps({**json.loads(sent.dumps()), name: value}), store)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("filename", "../../etc/passwd"),
        ("filename", "/etc/passwd"),
        ("size", -1),
        ("size", 1.5),
        ("kind", "moon"),
        ("digest", "x"),
        ("fields", [["a"]]),
    ],
)
def test_a_pin_that_no_lock_would_have_is_refused(name: str, value: Any, sent: Order, store: Store) -> None:
    """Its name and size are not part of the key, so the key says nothing of them."""
    found = json.loads(sent.dumps())
    found["sources"][0][1][name] = value
    with pytest.raises(HostileInput):
        order(json.dumps(found), store)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "null", "[" * 100_000, '{"local": {}, "version": 1e999}', '{"a": NaN}']
)
def test_no_order(text: str, store: Store) -> None:
    with pytest.raises(HostileInput):
        order(text, store)


def test_an_order_has_an_end(sent: Order, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    text = sent.dumps()
    monkeypatch.setattr(fields, "LARGEST", len(text))
    order(text, store)
    with pytest.raises(HostileInput):
        order(text + " ", store)
