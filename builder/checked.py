"""What contracts came to, remembered beside the build that they were tried on.

    checked/<hex of the image action's plan key>    JSON: contract → [points kept, points tried]

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


def note(store: Store, plan_key: str, scores: Mapping[str, Score]) -> None:
    """Remember what these contracts came to, beside what others came to before."""
    known = {**scores_of(store, plan_key), **scores}
    text = json.dumps({name: list(score) for name, score in sorted(known.items())})
    store.write(_name(plan_key), text.encode())


def scores_of(store: Store, plan_key: str) -> dict[str, Score]:
    """What is remembered of a build, by contract; a damaged record counts as none."""
    try:
        found = json.loads((store.path / _name(plan_key)).read_bytes())
        return {str(name): Score(int(kept), int(tried)) for name, (kept, tried) in found.items()}
    except (FileNotFoundError, ValueError, TypeError, AttributeError):
        return {}


def _name(plan_key: str) -> str:
    return f"checked/{Digest(plan_key).hex}"
