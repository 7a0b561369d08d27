"""The state of targets as a Markdown table, for a README: what there is, how big, and what it waits for."""

from __future__ import annotations

from collections.abc import Sequence

from builder.exports.printable import amount, count, printable
from builder.state import State

_HEAD = ("image", "variant", "platform", "locked", "built", "contracts", "size")


def render(found: Sequence[State]) -> str:
    """The text, a row for each target, in their order."""
    rows = [_HEAD, ("---",) * len(_HEAD), *(_row(one) for one in found)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _row(one: State) -> tuple[str, ...]:
    target = one.target
    return (
        f"`{target.image}`",
        target.variant,
        target.platform,
        f"awaits {', '.join(map(_code, one.awaits))}" if one.awaits else _cell(one.locked),
        _cell(one.built),
        _contracts(one),
        amount(one.size) if one.size else "",
    )


def _contracts(one: State) -> str:
    """`kubeflow, contents kept: 17 points`; broken ones are named, whatever else was kept."""
    broken = [
        f"{name} broken: {tried - kept} of {tried}" for name, (kept, tried) in one.checked.items() if kept < tried
    ]
    if broken:
        return ", ".join(broken)
    points = sum(tried for _, tried in one.checked.values())
    return f"{', '.join(one.checked)} kept: {count(points, 'point')}" if points else ""


def _code(text: str) -> str:
    return f"`{_cell(text).replace('`', '')}`"


def _cell(text: str) -> str:
    return printable(text).replace("|", "\\|")
