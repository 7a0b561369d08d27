"""Whether this run may use a network: the one place that says no.

`--offline` sets `STACKBUILD_OFFLINE`, so that whatever a run starts (a namespace, another stackbuild) knows it too. Two
doors lead out, and both ask here: `requester.py`, which sends every request of ours, and
`user_config.environment_for_tools`, without which no program that we start (uv, pip, npm) finds its way. Sandboxes have
no network in any case.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from builder.errors import Unreachable

VARIABLE: Final = "STACKBUILD_OFFLINE"
_NO: Final = frozenset({"", "0", "false", "no"})


def offline(environ: Mapping[str, str]) -> bool:
    """Whether nothing may be asked of a network."""
    return environ.get(VARIABLE, "").lower() not in _NO


def refuse(environ: Mapping[str, str], what: str, next_step: str = "") -> None:
    """Go on only if there may be a network.

    Args:
        what: would be done: "locks are resolved".

    Raises:
        Unreachable: there may be none.
    """
    if offline(environ):
        raise Unreachable(
            f"offline: {what}",
            expected=f"a network; --offline, or {VARIABLE}, rules it out",
            next_step=next_step or f"where there is a network, run it again without --offline and with {VARIABLE}=0",
        )
