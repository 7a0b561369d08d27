"""Keys of actions: everything that is read is in them, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from builder.action import Action
from builder.digest import Digest, key
from builder.lock import Pin
from tests.test_digest import documents


def pin(name: str, data: bytes = b"") -> Pin:
    return Pin(
        kind="pip", name=name, version="1", filename=f"{name}.whl", digest=Digest.of(name.encode() + data), size=1
    )


NEED = Action(kind="apt", version=1, name="below", options={"x": 1})
ACTION = Action(
    kind="pip",
    version=1,
    name="bucket-0",
    options={"a": [1, 2], "b": {"c": None}},
    platform="linux/amd64",
    needs={"below": NEED},
    sources={"wheel:a": pin("a"), "wheel:b": pin("b")},
)


def test_every_field_that_is_read_changes_the_key() -> None:
    changed = [
        replace(ACTION, kind="apt"),
        replace(ACTION, version=2),
        replace(ACTION, options={"a": [2, 1], "b": {"c": None}}),
        replace(ACTION, options={"a": [1, 2], "b": {"c": False}}),
        replace(ACTION, platform=""),
        replace(ACTION, needs={}),
        replace(ACTION, needs={"other": NEED}),
        replace(ACTION, needs={"below": replace(NEED, version=2)}),
        replace(ACTION, sources={"wheel:a": pin("a")}),
        replace(ACTION, sources={"wheel:a": pin("a"), "wheel:b": pin("b", b"2")}),
        replace(ACTION, sources={"wheel:a": pin("b"), "wheel:b": pin("a")}),
    ]
    assert len({one.plan_key for one in (ACTION, *changed)}) == len(changed) + 1
    assert ACTION not in changed


def test_names_places_and_order_do_not() -> None:
    moved = pin("a").__class__(
        kind="pip", name="a", version="9", filename="other.whl", digest=pin("a").digest, size=7, source="mirror"
    )
    same = [
        replace(ACTION, name="another"),
        replace(ACTION, layers=False),
        replace(ACTION, tools={"python:libssl3": pin("libssl3")}),
        replace(ACTION, local={"sha256:0": Path("/somewhere")}),
        replace(ACTION, sources=dict(sorted(ACTION.sources.items(), reverse=True))),
        replace(ACTION, sources={**ACTION.sources, "wheel:a": moved}),
        replace(ACTION, options={"b": {"c": None}, "a": [1, 2]}),
        replace(ACTION, needs={"below": replace(NEED, name="renamed")}),
    ]
    assert {one.plan_key for one in same} == {ACTION.plan_key}
    assert all(one == ACTION and hash(one) == hash(ACTION) for one in same)


@given(documents, documents)
def test_equal_options_are_equal_keys(one: dict[str, Any], two: dict[str, Any]) -> None:
    a, b = replace(ACTION, options=one), replace(ACTION, options=two)
    assert (a.plan_key == b.plan_key) == (key(one) == key(two))


@given(st.permutations([f"n{number}" for number in range(5)]))
def test_permuting_inputs_changes_nothing(names: list[str]) -> None:
    made = replace(ACTION, needs={name: replace(NEED, options={"n": name}) for name in names})
    assert made.plan_key == replace(made, needs={name: made.needs[name] for name in sorted(names)}).plan_key


def test_tools_are_fetched_though_they_are_no_part_of_the_key() -> None:
    tool = pin("libssl3")
    assert replace(ACTION, tools={"python:libssl3": tool}).pins == (*ACTION.sources.values(), tool)


def test_result_document_names_results() -> None:
    """Another input with the same result gives the same key: early cutoff."""
    other = replace(ACTION, needs={"below": replace(NEED, version=2)})
    result: dict[str, Any] = {"below": {"layers": []}}
    assert ACTION.plan_key != other.plan_key
    assert key(ACTION.result_document(result)) == key(other.result_document(result))
    assert key(ACTION.result_document(result)) != key(ACTION.result_document({"below": {"layers": [1]}}))


def test_walk_gives_inputs_first_and_each_once() -> None:
    left, right = replace(NEED, options="l", needs={"x": NEED}), replace(NEED, options="r", needs={"x": NEED})
    top = replace(ACTION, needs={"l": left, "r": right})
    order = list(top.walk())
    assert len(order) == 4
    assert order[-1] is top
    assert order.index(NEED) < order.index(left)
    assert order.index(NEED) < order.index(right)
