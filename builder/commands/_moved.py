"""Tags that moved, a line each."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from builder.workflow.releases import Moved


def say(moved: Sequence[Moved]) -> None:
    for one in moved:
        print(f"{one.name}:{one.tag}  {one.before or 'new'} → {one.digest}")
    if not moved:
        print("nothing to move", file=sys.stderr)
