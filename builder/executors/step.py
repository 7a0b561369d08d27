"""One step of a plan, on whatever machine: its sources are brought, then it is performed and its result written down.

What every executor does with one action stands here; in which order and where, each executor says itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from builder.action import Action, Result, Workshop
from builder.digest import Digest, key
from builder.errors import StackbuildError
from builder.lock import Pin
from builder.plan import Plan, present
from builder.planner import perform
from builder.store import Store


class Watcher(Protocol):
    """Is told what happens; used for progress. Methods may be called from any thread."""

    def started(self, action: Action) -> None: ...

    def finished(self, action: Action, how: str) -> None: ...


Fetch = Callable[[tuple[Pin, ...]], None]
"""Brings pinned files into the store, in parallel, or raises."""


def ranks(plan: Plan) -> dict[Digest, tuple[int, str]]:
    """What sorts the actions that are ready: those first before which most lies, by the bytes that it and its readers
    fetch; the light ones fill the gaps at the end. Ties by name."""
    weights: dict[Digest, int] = {}
    for action in reversed(list(plan.order())):
        after = max((weights[one] for one in plan.readers(action.plan_key)), default=0)
        weights[action.plan_key] = after + sum(pin.size for pin in action.pins)
    return {key: (-weight, plan.action(key).name) for key, weight in weights.items()}


def prepare(action: Action, store: Store, fetch: Fetch) -> str:
    """Have all that an action reads, unless its key is known: early cutoff. Returns how it came about, "" if not so."""
    known, _ = _known(action, store)
    if not known:
        fetch(action.pins)
    return known


def _known(action: Action, store: Store) -> tuple[str, Mapping[str, Result]]:
    """Take the result of equal inputs, if there is one: "same inputs" then, else ""; and the results that it reads."""
    results = {role: _result(store, need) for role, need in action.needs.items()}
    found = store.action(key(action.result_document(results)))
    if found is None or not present(store, found["result"]):
        return "", results
    store.put_action(action.plan_key, action.document, found["result"])
    return "same inputs", results


def attempt(action: Action, store: Store, make: Callable[[Path], Workshop], watcher: Watcher) -> str:
    """Perform one action whose sources are here. Returns how it came about."""
    document = action.result_document({role: _result(store, need) for role, need in action.needs.items()})
    own = key(document)
    with store.locked(f"action-{own.hex}"):  # Equal inputs, in another target or process: once is enough.
        known, results = _known(action, store)
        if known:
            return known
        watcher.started(action)
        log = log_of(action, store)
        log.unlink(missing_ok=True)
        result = perform(action, results, make(log))
        store.put_action(own, document, dict(result))
        store.put_action(action.plan_key, action.document, dict(result))
    return "done"


def log_of(action: Action, store: Store) -> Path:
    """Where the output of an action's sandboxed steps goes."""
    return store.path / "logs" / f"{action.plan_key.hex[:12]}.txt"


def _result(store: Store, action: Action) -> Result:
    found = store.action(action.plan_key)
    if found is None:
        raise StackbuildError(
            f"the result of {action.name} is gone from the store", next_step="run the same command again"
        )
    result: Result = found["result"]
    return result
