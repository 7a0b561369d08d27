"""Outcomes and failures, as they arrive from a worker: nothing in them is taken on trust but what they say."""

from __future__ import annotations

import json
import pickle
from dataclasses import asdict
from typing import Any

import pytest

from builder.action import Action
from builder.digest import Digest
from builder.errors import HostileInput, Problems, StackbuildError, Unreachable
from builder.executors.outcome import Failed, Failure, Outcome, failure, outcome, passes

ACTION = Action(kind="run", version=1, name="step", options={})
BLOB, LISTING = Digest.of(b"blob"), Digest.of(b"listing")
MADE = Outcome(
    result={"layers": [{"name": "é", "digest": BLOB, "listing": LISTING}]},
    sizes={BLOB: 4, LISTING: 7},
    how="done",
    milliseconds=12,
)


def test_an_outcome_arrives_as_it_was() -> None:
    assert asdict(outcome(MADE.dumps(), ACTION)) == asdict(MADE)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("result", {}),
        ("result", []),
        ("result", {"layers": [{"digest": "x"}]}),
        ("result", {"layers": None}),
        ("sizes", {}),
        ("sizes", {BLOB: -1, LISTING: 7}),
        ("sizes", {BLOB: 1 << 70, LISTING: 7}),
        ("sizes", {"../x": 1}),
        ("how", "\x1b[2J"),
        ("milliseconds", -1),
        ("milliseconds", 1 << 50),
        ("milliseconds", 1.5),
        ("milliseconds", True),
    ],
)
def test_what_is_no_outcome_is_refused(name: str, value: Any) -> None:
    with pytest.raises(HostileInput):
        outcome(json.dumps({**json.loads(MADE.dumps()), name: value}), ACTION)


@pytest.mark.parametrize("text", ["", "[]", "{}", "[" * 100_000, '{"result": {}, "sizes": {}, "how": Infinity}'])
def test_no_outcome(text: str) -> None:
    with pytest.raises(HostileInput):
        outcome(text, ACTION)


def test_an_image_has_a_manifest() -> None:
    """What is no image's result is no outcome of one, though it be one of a layer."""
    with pytest.raises(HostileInput, match="not whole"):
        outcome(MADE.dumps(), Action(kind="image", version=1, name="image", options={}))


def failed(error: StackbuildError, **more: Any) -> Failure:
    """A failure that has come over the wire, as Dask brings exceptions: pickled."""
    said = {"key": BLOB, "log": "said", "log_path": "/store/logs/k.txt", "worker": "w1", "passing": passes(error)}
    sent = Failed(Failure(error=error, **{**said, **more}).dumps())
    found: Failed = pickle.loads(pickle.dumps(sent))
    return failure(found.args[0])


def test_a_failure_is_told_with_the_log_that_is_here() -> None:
    error = StackbuildError(
        "step failed: x", where="log: /store/logs/k.txt", got="said", next_step="stackbuild shell --at k"
    )
    found = failed(error).here("/here/k.txt")
    assert found.where == "log: /here/k.txt"
    assert found.next_step == "on the worker w1: stackbuild shell --at k"
    assert (found.what, found.got) == (error.what, error.got)


def test_several_problems_arrive_as_several() -> None:
    found = failed(Problems([Unreachable("a", where="log: /store/logs/k.txt"), HostileInput("b")])).here("/here")
    assert isinstance(found, Problems)
    assert [(type(one), one.what) for one in found.problems] == [(Unreachable, "a"), (HostileInput, "b")]
    assert found.problems[0].where == "log: /here"


def test_a_file_name_that_is_no_text_is_no_hindrance() -> None:
    assert failed(StackbuildError("no such file: \udcff")).error.what == "no such file: \udcff"


def test_a_log_has_an_end() -> None:
    found = failed(StackbuildError("x"), log="a" * (5 << 20) + "the end")
    assert len(found.log) == 1 << 20
    assert found.log.endswith("the end")


def test_only_what_may_pass_is_ordered_again() -> None:
    assert failed(Unreachable("no answer")).passing
    assert failed(Problems([Unreachable("a"), Unreachable("b")])).passing
    assert not failed(Problems([Unreachable("a"), HostileInput("b")])).passing
    assert not failed(StackbuildError("step failed")).passing


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("errors", []),
        ("errors", [{"class": "SystemExit", "what": "", "where": "", "expected": "", "got": "", "next_step": ""}]),
        ("errors", [{"class": "StackbuildError", "what": 1, "where": "", "expected": "", "got": "", "next_step": ""}]),
        ("key", "x"),
        ("worker", "\x1b[2J"),
        ("log", 1),
        ("passing", "yes"),
    ],
)
def test_what_is_no_failure_is_refused(name: str, value: Any) -> None:
    said = Failure(error=StackbuildError("x"), key=None, log="", log_path="", worker="w", passing=False).dumps()
    with pytest.raises(HostileInput):
        failure(json.dumps({**json.loads(said), name: value}))
