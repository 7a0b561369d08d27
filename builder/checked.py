"""What contracts came to, remembered beside the build that they were tried on.

    checked/<hex of the image action's plan key>    JSON: contract → runtime → [points kept, points tried]

A record says what was seen on this machine and proves nothing to anybody else; an image that is built anew from other
inputs has none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple

from builder.digest import Digest
from builder.store import Store


class Score(NamedTuple):
    """How many points of a contract were kept, of how many that were tried."""

    kept: int
    tried: int


Scores = Mapping[str, Mapping[str, Score]]
"""By contract and runtime."""


def note(store: Store, plan_key: str, runtime: str, scores: Mapping[str, Score]) -> None:
    """Remember what these contracts came to on a runtime, beside what is remembered already."""
    known = {name: dict(ran) for name, ran in scores_of(store, plan_key).items()}
    for name, score in scores.items():
        known.setdefault(name, {})[runtime] = score
    store.write(_name(plan_key), json.dumps(known, sort_keys=True).encode())


def scores_of(store: Store, plan_key: str) -> Scores:
    """What is remembered of a build; a damaged record counts as none."""
    try:
        found = json.loads((store.path / _name(plan_key)).read_bytes())
        return {
            str(name): {str(runtime): Score(int(kept), int(tried)) for runtime, (kept, tried) in ran.items()}
            for name, ran in found.items()
        }
    except (FileNotFoundError, ValueError, TypeError, AttributeError):
        return {}


def _name(plan_key: str) -> str:
    return f"checked/{Digest(plan_key).hex}"
