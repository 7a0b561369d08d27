"""What scripts did, until it was seen twice."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from builder import impure
from builder.action import Action
from builder.digest import Json
from builder.store import Store


def test_what_was_made_twice_is_proven(tmp_path: Path, store: Store) -> None:
    other = Store.open(tmp_path / "other")
    one, two, pure = (Action(kind=kind, version=1, name=kind, options=kind) for kind in ("run.one", "run.two", "apt"))
    same, first, second = [cast(Json, {"layers": [], "impure": True, "n": n}) for n in (0, 1, 2)]
    for place, results in ((store, (same, first)), (other, (same, second))):
        for action, result in zip((one, two), results, strict=True):
            place.put_action(action.plan_key, action.document, result)
        place.put_action(pure.plan_key, pure.document, {"layers": []})
    assert impure.unproven(store, (one, two, pure)) == (one, two)
    assert impure.prove(store, other, (one, two, pure)) == (one,)
    assert impure.unproven(store, (one, two, pure)) == (two,)
    store.put_action(one.plan_key, one.document, second)
    assert impure.unproven(store, (one, two, pure)) == (one, two), "what came to something else is unproven again"


def test_a_damaged_note_proves_nothing(tmp_path: Path, store: Store) -> None:
    action = Action(kind="run", version=1, name="run", options=None)
    for place in (store, other := Store.open(tmp_path / "other")):
        place.put_action(action.plan_key, action.document, {"layers": [], "impure": True})
    impure.prove(store, other, [action])
    assert impure.unproven(store, [action]) == ()
    (note,) = (store.path / "proven").iterdir()
    for damage in (b"", b"\xff", note.read_bytes()[:-1]):
        note.write_bytes(damage)
        assert impure.unproven(store, [action]) == (action,)
