"""Whether `diff` says what two revisions' locks differ in, and whether a bump wrote no line that it need not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tests.e2e.rehearsal.texts import KINDS, Chain, Locks, Pin, Text, name_of

Row = tuple[str, str, str, tuple[str, str, int] | None, tuple[str, str, int] | None]
"""Kind, name, the image whose lock has it, and what it was and is: version, digest, size; None for nothing."""


def differing(chain: Chain, before: Locks, after: Locks) -> set[Row]:
    """What differs in one target, as its locks and its ancestors' say."""
    rows: set[Row] = set()
    for kind in KINDS:
        old, new = before.has(chain, kind), after.has(chain, kind)
        for name in old.keys() | new.keys():
            a, b = (_what(side[name][1]) if name in side else None for side in (old, new))
            if a != b:
                rows.add((kind, name, (new.get(name) or old[name])[0], a, b))
    return rows


def _what(pin: Pin) -> tuple[str, str, int]:
    return pin.version, pin.digest, pin.size


def wrong(told: Mapping[str, Any], chains: Mapping[str, Chain], before: Locks, after: Locks) -> Iterator[str]:
    """What `diff --json` says and is not so, or does not say and is so."""
    expected = {target: rows for target, chain in chains.items() if (rows := differing(chain, before, after))}
    said = {one["b"]: {_row(row) for row in one["packages"]} for one in told["targets"]}
    for one in told["targets"]:
        yield from (
            f"{one['b']}: {row['name']} is said to be {row['change']}"
            for row in one["packages"]
            if row["change"] != _how(row["a"], row["b"])
        )
    for target in sorted(said.keys() | expected.keys()):
        for row in said.get(target, set()) ^ expected.get(target, set()):
            yield f"{target}: {row[1]} is {'told only' if row in said.get(target, set()) else 'not told'}: {row}"
    if set(told["same"]) != chains.keys() - expected.keys():
        yield f"same is said of {told['same']}"


def _how(a: Mapping[str, Any] | None, b: Mapping[str, Any] | None) -> str:
    if a is None or b is None:
        return "added" if a is None else "removed"
    return "replaced" if a["version"] == b["version"] else "moved"


def _row(row: Mapping[str, Any]) -> Row:
    a, b = ((one["version"], one["digest"], one["size"]) if one else None for one in (row["a"], row["b"]))
    return row["kind"], row["name"], row["image"], a, b


def needless(old: Text, new: Text, bumped: frozenset[str]) -> Iterator[str]:
    """Lines of one lock that changed, though they are neither of a package that moved nor about one."""
    moved = {name for name in old.pins.keys() | new.pins.keys() if _pin(old, name) != _pin(new, name)}
    for name in (old.pins.keys() & new.pins.keys()) - moved:
        a, b = old.pins[name], new.pins[name]
        if (a.filename, a.size, a.requires) != (b.filename, b.size, b.requires):
            yield f"{name} did not move, and its lines changed"
        if not set(a.via) ^ set(b.via) <= moved | {"stacks.toml"}:
            yield f"{name}: other names ask for it, which did not move"
    for request in set(old.requests) ^ set(new.requests):
        if name_of(request) not in bumped:
            yield f"the request {request} was not bumped"


def _pin(text: Text, name: str) -> tuple[str, str] | None:
    pin = text.pins.get(name)
    return (pin.version, pin.digest) if pin else None
