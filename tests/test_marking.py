"""What can be reached from tags, plans and files; `test_sweeping.py` holds it against what goes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given

from builder.digest import Digest, Json
from builder.marking import Roots, mark, planned
from builder.store import Store
from tests.random_store import Drawn, drawn, world_of


@given(drawn())
def test_what_was_built_can_be_followed_without_its_plan(what: Drawn) -> None:
    """The same files are found from the plan keys alone as from the actions, but for sources that nobody fetched."""
    with world_of(what) as world:
        wanted = [world.actions[one] for one in what.wanted]
        whole = mark(world.store, planned(wanted), ())
        keys = Roots(plans=frozenset(action.plan_key for action in wanted))
        alone = mark(world.store, keys, ())
        done = [action for action in wanted if world.store.has_action(action.plan_key)]
        if len(done) == len(wanted):
            assert alone == whole
        else:
            assert alone.actions <= whole.actions


def test_foreign_layers_of_a_tagged_image_stay(store: Store) -> None:
    """An image's own result only refers to layers of its base; its manifest names them all the same."""
    layer, config = store.put_blob(b"layer"), store.put_blob(b"{}")
    body = json.dumps({"config": {"digest": config}, "layers": [{"digest": layer}]}).encode()
    manifest = store.put_blob(body)
    row: Json = {"digest": layer, "diff_id": Digest.of(b"d"), "foreign": True}
    plan = Digest.of(b"plan")
    document: Json = {"kind": "image", "inputs": {}}
    store.put_action(plan, document, {"manifest": {"digest": manifest}, "config": config, "layers": [row]})
    index = store.put_blob(json.dumps({"manifests": [{"digest": manifest}]}).encode())
    for roots in (Roots(images=frozenset([manifest])), Roots(images=frozenset([index]), plans=frozenset([plan]))):
        assert {layer, config, manifest} <= mark(store, roots, ()).blobs


def test_bytecode_of_a_wheel_that_was_built_stays(store: Store) -> None:
    """Only that of pinned wheels was kept, so an sdist's was compiled again."""
    wheel, compiled, other = (Digest.of(name) for name in (b"wheel", b"compiled", b"other"))
    plan = Digest.of(b"plan")
    store.put_action(plan, {"kind": "pip.sdist", "inputs": {}}, {"wheel": wheel})
    for name, source, zip_ in ((b"a", wheel, compiled), (b"b", Digest.of(b"gone"), other)):
        document: Json = {"kind": "bytecode", "inputs": {"wheel": source}}
        store.put_action(Digest.of(name), document, {"bytecode": zip_})
    found = mark(store, Roots(plans=frozenset([plan])), ())
    assert compiled in found.sources
    assert other not in found.sources


@pytest.mark.parametrize(
    "entry", [b"{", b"[]", b'{"layers": 1}', b'{"layers": [{"digest": "x"}]}', b'{"manifests": [1]}', b"\xff"]
)
def test_damaged_documents_name_nothing(store: Store, entry: bytes) -> None:
    blob = store.put_blob(entry)
    assert mark(store, Roots(images=frozenset([blob])), ()).blobs == {blob}
    for result in ({"layers": 1}, {"layers": [{"digest": "x", "listing": "y"}]}, {"manifest": 1}, {"wheel": "../x"}):
        store.put_action(Digest.of(b"a"), {"kind": "test", "inputs": {}}, result)
        assert mark(store, Roots(plans=frozenset([Digest.of(b"a")])), ()).actions == set()
