"""Locks that changed: as text, and as rows of JSON."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from builder.workflow.lock import Change

_SHOWN = 20


def say(line: str) -> None:
    """Tell how it goes; one write a line, as several threads say something."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def print_changes(changes: Sequence[Change]) -> None:
    for change in changes:
        print(f"{change.path}: {change.pins} pins")
        for name, old, new in change.moved[:_SHOWN]:
            print(f"  {name} {old or '(new)'} → {new or '(gone)'}" if old else f"  {name} {new}")
        if len(change.moved) > _SHOWN:
            print(f"  and {len(change.moved) - _SHOWN} more")
    if not changes:
        print("nothing moved")


def rows(changes: Sequence[Change]) -> list[dict[str, object]]:
    return [
        {
            "target": str(one.target),
            "kind": one.kind,
            "path": one.path,
            "moved": [{"name": name, "old": old, "new": new} for name, old, new in one.moved],
        }
        for one in changes
    ]
