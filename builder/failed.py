"""Roots of failed steps, kept so that one can look into them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from builder.errors import StackbuildError
from builder.store import Store


def keep(store: Store, name: str, upper: Path, lowers: Sequence[Path]) -> None:
    """Keep a failed step's upper folder and where its lower ones lie (uppermost first), under the name of its log."""
    place = store.path / "failed" / name
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    os.rename(upper, place / "upper")
    (place / "lowers.json").write_text(json.dumps([str(lower) for lower in lowers]))


def find(store: Store, name: str) -> tuple[Path, tuple[Path, ...]]:
    """The upper and lower folders of a failed step.

    Raises:
        StackbuildError: no such step failed, or it has been built since.
    """
    place = store.path / "failed" / name
    if not (place / "lowers.json").is_file():
        known = sorted(path.parent.name for path in (store.path / "failed").glob("*/lowers.json"))
        raise StackbuildError(f"no failed step {name}", expected=", ".join(known) or "there is none in this store")
    return place / "upper", tuple(Path(lower) for lower in json.loads((place / "lowers.json").read_text()))
