"""A worker's bench: orders come to outcomes, through a registry; whatever goes wrong is told as JSON."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from builder import program
from builder.action import Action, Result, Workshop
from builder.cache import Cache
from builder.digest import Digest
from builder.entry import Trust
from builder.errors import StackbuildError, Unreachable
from builder.executors.bench import Bench, Staff, bench
from builder.executors.local import workshop
from builder.executors.order import Order, Shop
from builder.executors.outcome import Failed, Failure, Outcome, failure, outcome
from builder.executors.overdue import Patience
from builder.lock import Pin
from builder.manifest.model import Manifest
from builder.manifest.read import loads
from builder.net import Client
from builder.store import Store
from builder.transports.registry import Registry
from tests.fake_uploads import FakeUploads, uploads

Does = Callable[[Workshop], Result]
MANIFEST = """
[project]
name = "x"
platforms = ["linux/amd64"]

[archives.bookworm]
suites = ["bookworm"]

[layouts.plain]
user = "somebody"
uid = 1000
gid = 0
home = "/home/somebody"

[images.base]
from = "archive:bookworm"
layout = "plain"
"""
STEP = Action(kind="overlay", version=1, name="step", options="step")
OVER = Action(kind="overlay", version=1, name="over", options="over", needs={"0": STEP})


class Heard:
    """What a bench told."""

    def __init__(self) -> None:
        self.begun_: list[str] = []

    def begun(self, action: Action) -> None:
        self.begun_.append(action.name)

    def late(self, action: Action, seconds: float) -> None:
        raise AssertionError(f"{action.name} is late")


@pytest.fixture
def registry() -> Iterator[FakeUploads]:
    with uploads() as found:
        yield found


@pytest.fixture
def does(monkeypatch: pytest.MonkeyPatch) -> dict[str, Does]:
    """What performing an action does, by its name."""
    found: dict[str, Does] = {}

    def perform(action: Action, results: Mapping[str, Result], made: Workshop) -> Result:
        does = found.get(action.name)
        return does(made) if does else layer(made, action.name)

    monkeypatch.setattr("builder.executors.step.perform", perform)
    return found


def layer(made: Workshop, name: str) -> Result:
    data = name.encode()
    with made.store.new_source() as incoming:
        incoming.write(data)
        incoming.commit(Digest.of(data))
    return {"layers": [{"name": name, "digest": made.store.put_blob(data), "listing": Digest.of(data)}]}


@pytest.fixture
def shop(registry: FakeUploads) -> Shop:
    return Shop(
        program=program.identity(), manifest=Digest.of(MANIFEST.encode()), size=len(MANIFEST),
        place=f"oci://{registry.host}/team/cache",
    )  # fmt: skip


@pytest.fixture
def at(tmp_path: Path, registry: FakeUploads, does: dict[str, Does]) -> Callable[[str], Iterator[Bench]]:
    def opened(shop: Shop, store: Store) -> tuple[Manifest, Cache]:
        there = Registry(Client(environ={}), registry.host, "team/cache", {})
        return loads(MANIFEST, store.path / "stacks.toml"), Cache(there, store, Trust(registry=True), print)

    def make(name: str) -> Iterator[Bench]:
        staff = Staff(name=name, opened=opened, now=str, at_once=2, patience=Patience(seconds=3600))
        with bench(Store.open(tmp_path / name), staff, 1) as found:
            yield found

    return make


@pytest.fixture
def one(at: Callable[[str], Iterator[Bench]]) -> Iterator[Bench]:
    yield from at("one")


@pytest.fixture
def two(at: Callable[[str], Iterator[Bench]]) -> Iterator[Bench]:
    yield from at("two")


def failed(made: Bench, text: str, *outcomes: str) -> Failure:
    with pytest.raises(Failed) as caught:
        made.perform(text, outcomes, Heard())
    return failure(caught.value.args[0])


def test_what_one_left_another_finds(one: Bench, two: Bench, shop: Shop) -> None:
    heard = Heard()
    text = Order(shop=shop, action=STEP).dumps()
    first = outcome(one.perform(text, [], heard), STEP)
    assert (first.how, heard.begun_) == ("done", ["step"])
    assert first.milliseconds is not None
    again = outcome(two.perform(text, [], heard), STEP)
    assert (again.how, again.result, again.milliseconds) == ("from the cache", first.result, None)
    over = two.perform(Order(shop=shop, action=OVER).dumps(), [first.dumps()], heard)
    assert (outcome(over, OVER).how, heard.begun_) == ("done", ["step", "over"])


@pytest.mark.parametrize("wanted", [False, True])
def test_pinned_files_are_left_where_they_are_wanted(
    wanted: bool, one: Bench, shop: Shop, registry: FakeUploads, tmp_path: Path
) -> None:
    """Results always are: they have no other way."""
    data = b"a wheel"
    digest = Digest.of(data)
    with Store.open(tmp_path / "one").new_source() as incoming:
        incoming.write(data)
        incoming.commit(digest)
    wheel = Pin(kind="pip", name="a", version="1", filename="a.whl", digest=digest, size=len(data))
    action = replace(STEP, sources={"wheel": wheel})
    found = outcome(one.perform(Order(shop=replace(shop, sources=wanted), action=action).dumps(), [], Heard()), action)
    there = {name for repository, name in registry.blobs if repository == "team/cache"}
    assert {str(file) for file in found.sizes} <= there
    assert (digest in there) == wanted
    entry = json.loads(registry.manifests["team/cache", f"action-{action.plan_key.hex}"])
    assert (digest in {row["digest"] for row in entry["layers"]}) == wanted


def test_an_outcome_of_a_need_that_is_none_is_refused(one: Bench, shop: Shop) -> None:
    text = Order(shop=shop, action=OVER).dumps()
    said = failed(one, text, Outcome(result={"layers": [{"digest": "x"}]}, sizes={}).dumps())
    assert (said.key, said.passing) == (OVER.plan_key, False)


def test_another_stackbuild_s_order_is_refused(one: Bench, shop: Shop) -> None:
    """It has perhaps another version of a kind, whose key this one would sign."""
    said = failed(one, Order(shop=replace(shop, program="0.0-0"), action=STEP).dumps())
    assert "the worker one is another stackbuild" in str(said.error)
    assert (said.key, said.passing) == (STEP.plan_key, False)


def test_what_is_no_order_is_told(one: Bench) -> None:
    assert failed(one, "{}").key is None


@pytest.mark.parametrize(
    ("error", "passing"),
    [
        (Unreachable("no answer"), True),
        (StackbuildError("step failed"), False),
        (OSError(28, "No space left on device"), True),
        (BrokenProcessPool("a process died"), True),
        (KeyError("a mistake of ours"), False),
    ],
)
def test_whatever_goes_wrong_is_told(
    error: Exception, passing: bool, one: Bench, shop: Shop, does: dict[str, Does], capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(made: Workshop) -> Result:
        raise error

    does["step"] = fail
    said = failed(one, Order(shop=shop, action=STEP).dumps())
    assert (said.key, said.worker, said.passing) == (STEP.plan_key, "one", passing)
    assert isinstance(error, StackbuildError) or "the worker one could not go on with step" in str(said.error)
    assert isinstance(error, StackbuildError) or "Traceback" in capfd.readouterr().err  # What it says itself.


def test_a_log_is_that_of_this_attempt(one: Bench, shop: Shop, does: dict[str, Does]) -> None:
    def fail(made: Workshop) -> Result:
        made.log.write_text("said\n")
        raise StackbuildError("step failed", where=f"log: {made.log}")

    does["step"] = fail
    assert failed(one, Order(shop=shop, action=STEP).dumps()).log == "said\n"

    def unreachable(made: Workshop) -> Result:
        raise Unreachable("no answer")

    does["step"] = unreachable
    assert failed(one, Order(shop=shop, action=STEP).dumps()).log == ""


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_after_a_process_was_killed_others_work(store: Store) -> None:
    """The kernel does so for want of memory; every later step of the worker failed."""
    with workshop(store, 1) as make:
        made: Any = make(store.path / "log")
        with pytest.raises(BrokenProcessPool):
            made.heavy(_die).result(60)
        assert made.heavy(sum, (1, 2)).result(60) == 3
