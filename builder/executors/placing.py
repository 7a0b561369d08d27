"""Which worker may perform a step: what it offers, against what the step takes.

program:<identity>          no end of it     one by each step: only the same stackbuild comes to the same bytes
sandbox                     steps at once    one by each step that runs programs
linux/amd64, linux/arm64    likewise         one by each such step that is for one platform
memory                      bytes            what the step's root takes; at most what the largest worker has
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from builder.action import Action
from builder.planner import sandboxed, space

Amounts = Mapping[str, float]
SANDBOX = "sandbox"
MEMORY = "memory"
_PROGRAM = "program:"
_ENDLESS = 1e9


def offer(program: str, memory: int, platforms: Sequence[str], at_once: int) -> Amounts:
    """What a worker offers.

    Args:
        platforms: whose programs it runs in the sandbox; none without one.
        at_once: so many steps.
    """
    found = {f"{_PROGRAM}{program}": _ENDLESS, MEMORY: float(memory)}
    return {**found, **dict.fromkeys([SANDBOX, *platforms] if platforms else [], float(at_once))}


def taken(action: Action, program: str, offers: Sequence[Amounts]) -> dict[str, float]:
    """What performing an action takes of a worker; of memory no more than the largest has that may perform it."""
    found: dict[str, float] = {f"{_PROGRAM}{program}": 1}
    if not sandboxed(action):
        return found
    found[SANDBOX] = 1
    if action.platform:
        found[action.platform] = 1
    most = max((one.get(MEMORY, 0) for one in offers if not missing(found, [one])), default=0)
    memory = min(space(action), most)
    return {**found, MEMORY: memory} if memory else found


def missing(wanted: Amounts, offers: Sequence[Amounts]) -> tuple[str, ...]:
    """What the most suitable worker does not offer of it, sorted; all of it if there is no worker."""
    lacks = [tuple(sorted(name for name, amount in wanted.items() if one.get(name, 0) < amount)) for one in offers]
    return min(lacks, key=lambda names: (len(names), names), default=tuple(sorted(wanted)))


def told(action: Action, lacking: Sequence[str], workers: int) -> str:
    """That a step waits, for people."""
    if not workers:
        return f"waiting for a worker: the scheduler has none; {action.name} is the first to be performed"
    program = next((one.removeprefix(_PROGRAM) for one in lacking if one.startswith(_PROGRAM)), "")
    if program:
        return f"waiting for a worker of the same stackbuild as this, {program}: {action.name}"
    return f"waiting for a worker that offers {', '.join(lacking)}, as {action.name} takes it"
