"""The plan: order, what is stale, who reads what."""

from __future__ import annotations

from builder.action import Action
from builder.digest import Digest
from builder.plan import Plan, intact, present
from builder.store import Store


def action(name: str, *needs: Action) -> Action:
    return Action(kind="fake", version=1, name=name, options=name, needs={need.name: need for need in needs})


BASE = action("base")
LEFT, RIGHT = action("left", BASE), action("right", BASE)
TOP = action("top", LEFT, RIGHT)


def done(store: Store, *actions: Action) -> None:
    for one in actions:
        store.put_action(one.plan_key, one.document, {"layers": []})


def test_order_is_a_function_of_the_plan() -> None:
    for wanted in ([TOP], [RIGHT, TOP, LEFT], [TOP, TOP]):
        assert [one.name for one in Plan.of(wanted).order()] == ["base", "left", "right", "top"]


def test_equal_actions_are_one_node() -> None:
    twin = Action(kind="fake", version=1, name="renamed", options="base")
    assert (
        len(Plan.of([LEFT, Action(kind="fake", version=1, name="right", options="right", needs={"base": twin})]).graph)
        == 3
    )


def test_stale_is_what_a_wanted_action_reads_over_stale_ones(store: Store) -> None:
    plan = Plan.of([TOP])
    everything = {one.plan_key for one in (BASE, LEFT, RIGHT, TOP)}
    assert plan.stale(store, [TOP]) == everything
    done(store, BASE, LEFT)
    assert plan.stale(store, [TOP]) == {TOP.plan_key, RIGHT.plan_key}
    assert plan.stale(store, [LEFT]) == frozenset()
    done(store, TOP)
    assert plan.stale(store, [TOP]) == frozenset()


def test_neighbours() -> None:
    plan = Plan.of([TOP])
    assert set(plan.needs(TOP.plan_key)) == {LEFT.plan_key, RIGHT.plan_key}
    assert set(plan.readers(BASE.plan_key)) == {LEFT.plan_key, RIGHT.plan_key}
    assert plan.action(BASE.plan_key) is BASE


def test_intact_means_that_the_blobs_are_there(store: Store) -> None:
    key, blob = Digest.of(b"key"), store.put_blob(b"layer")
    assert not intact(store, key)
    with store.new_source() as incoming:
        incoming.write(b"layer")
        incoming.commit(blob)
    store.put_action(key, {}, {"layers": [{"digest": blob, "listing": blob}]})
    assert intact(store, key)
    store.source(blob).unlink()
    assert not intact(store, key)
    assert not present(store, None)
    assert not present(store, {"wheel": Digest.of(b"no such wheel")})
