"""What an audit found as JSON, for programs; docs/audit.md says what each key is."""

from __future__ import annotations

import json
from typing import Any

from builder.advisories.findings import Audited, Finding

SCHEMA = 1
"""Raised if a key is removed or gets another meaning; new keys may come at any time."""


def render(found: Audited) -> str:
    """The text, indented."""
    document = {
        "schema": SCHEMA,
        "open": len(found.open),
        "targets": [str(one) for one in found.targets],
        "checked": found.checked,
        "uncovered": dict(found.uncovered),
        "databases": [
            {"name": name, "entries": entries, "damaged": damaged} for name, entries, damaged in found.databases
        ],
        "idle": list(found.idle),
        "findings": [_finding(one) for one in found.findings],
    }
    return json.dumps(document, indent=2) + "\n"


def _finding(one: Finding) -> dict[str, Any]:
    return {
        "id": one.id,
        "aliases": list(one.aliases),
        "summary": one.summary,
        "state": one.state,
        "note": one.note,
        "severity": {"level": one.severity.level, "score": one.severity.score, "vector": one.severity.vector},
        "ecosystem": one.ecosystem,
        "name": one.source,
        "version": one.version,
        "fixed": one.fixed or None,
        "image": one.image,
        "targets": [str(target) for target in one.own],
        "inherited": [str(target) for target in one.heirs],
        "packages": [
            {
                "kind": subject.kind,
                "name": subject.name,
                "version": subject.version,
                "prefix": subject.prefix,
                "via": via,
            }
            for subject, via in zip(one.packages, one.via, strict=True)
        ],
    }
