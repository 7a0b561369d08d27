"""The layers that a plan is expected to leave, by the locks of this repository's own catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from builder.action import Action
from builder.locks import Locks
from builder.manifest.model import Target
from builder.manifest.read import read
from builder.planner import expected, plan_targets

ROOT = Path(__file__).parent.parent
SCIPY = Target("jupyter-scipy", "cpu", "linux/amd64")


def actions() -> list[Action]:
    planned = plan_targets(read(ROOT / "stacks.toml"), Locks(ROOT / "locks"), [SCIPY])
    return [action for one in planned.values() for action in one.actions if action.layers]


def test_every_layer_has_a_name_and_most_have_a_size() -> None:
    found = [layer for action in actions() for layer in expected(action)]
    names = {layer.name for layer in found}
    assert {"apt/bucket-0", "apt/rest", "pip/numpy", "pip/bucket-3", "overlays", "environment"} <= names
    assert {layer.name for layer in found if layer.size is None} == {"home", "environment", "apt/rest"}
    assert len({layer.digest for layer in found}) == len(found)
    numpy = next(layer for layer in found if layer.name == "pip/numpy")
    pin = Locks(ROOT / "locks").read(SCIPY, "pip")
    assert pin is not None and (wheel := pin.pin("numpy")) and numpy.size == wheel.size


def test_a_moved_debian_package_changes_its_own_layer_and_the_last_one() -> None:
    apt = next(action for action in actions() if action.kind == "apt")
    moved = replace(apt.sources["curl"], size=1, digest=apt.sources["dash"].digest)
    other = replace(apt, sources={**apt.sources, "curl": moved})
    before, after = ({layer.name: layer for layer in expected(action)} for action in (apt, other))
    parts = cast(Mapping[str, Any], apt.options)["parts"]
    part = next(name for name, members in parts if "curl" in members)
    assert {name for name in before if before[name] != after[name]} == {f"apt/{part}", "apt/rest"}
