"""Results that nobody can promise to be the same twice, until two builds were compared.

An action whose result says `"impure": true` did what a script of the project does. `verify` builds it again elsewhere;
if both results are the same, a small file in the store says so:

    proven/<hex of the action's plan key>       the digest of the result that came out twice

A proof is of that one result: an action that was performed again and came to something else is unproven again.
"""

from __future__ import annotations

from collections.abc import Iterable

from builder.action import Action, Result
from builder.digest import Digest, key
from builder.store import Store


def unproven(store: Store, actions: Iterable[Action]) -> tuple[Action, ...]:
    """Those of the actions whose result in the store is impure and has not been proven, in their order."""
    return tuple(
        action for action in actions if (found := _impure(store, action)) and not _proven(store, action, found)
    )


def prove(store: Store, other: Store, actions: Iterable[Action]) -> tuple[Action, ...]:
    """Note which impure results are the same in another store, where they were made independently; those that are."""
    found = []
    for action in actions:
        one, again = _impure(store, action), _impure(other, action)
        if one and again and key(one) == key(again):
            store.write(_name(action), key(one).encode())
            found.append(action)
    return tuple(found)


def _impure(store: Store, action: Action) -> Result | None:
    known = store.action(action.plan_key)
    if known is None or not known["result"].get("impure"):
        return None
    result: Result = known["result"]
    return result


def _proven(store: Store, action: Action, result: Result) -> bool:
    try:
        said = (store.path / _name(action)).read_text("ascii")
    except (FileNotFoundError, UnicodeDecodeError):
        return False
    return said == key(result)


def _name(action: Action) -> str:
    return f"proven/{Digest(action.plan_key).hex}"
