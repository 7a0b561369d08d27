"""Who holds a package as JSON, for programs; docs/audit.md says what each key is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from builder.advisories.holdings import Affected, Held

SCHEMA = 1
"""Raised if a key is removed or gets another meaning; new keys may come at any time."""


def render(found: Affected) -> str:
    """The text, indented."""
    document = {
        "schema": SCHEMA,
        "targets": [{"target": str(target), "packages": _rows(held)} for target, held in found.targets.items()],
        "releases": [
            {
                "name": one.name,
                "digest": one.digest,
                "time": one.time,
                "tags": list(one.tags),
                "before": list(one.before),
                "platforms": {platform: _rows(held) for platform, held in one.platforms.items()},
            }
            for one in found.releases
        ],
        "unknown": list(found.unknown),
    }
    return json.dumps(document, indent=2) + "\n"


def _rows(held: Sequence[Held]) -> list[dict[str, Any]]:
    return [asdict(one) for one in held]
