"""The state of targets as a Markdown table, for a README: what there is, how big, and what it waits for.

A row for each image and variant, a column for each platform.
"""

from __future__ import annotations

from collections.abc import Sequence

from builder.exports.printable import amount, count, printable
from builder.state import State


def render(found: Sequence[State]) -> str:
    """The text, in the order of the targets."""
    platforms = tuple(dict.fromkeys(one.target.platform for one in found))
    cells = {(one.target.image, one.target.variant, one.target.platform): _cell(one) for one in found}
    rows = [("image", "variant", *platforms), ("---",) * (2 + len(platforms))]
    for image, variant in dict.fromkeys((image, variant) for image, variant, _ in cells):
        rows.append((f"`{image}`", variant, *(cells.get((image, variant, platform), "") for platform in platforms)))
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _cell(one: State) -> str:
    """`281.1 MB, kubeflow and contents kept`, `locked`, or what it waits for."""
    if one.awaits:
        return f"awaits {', '.join(map(_code, one.awaits))}"
    if one.locked != "yes":
        return _plain(one.locked)
    if one.built != "yes":
        return "locked" if one.built == "no" else "locked, built before"
    return ", ".join(filter(None, (amount(one.size), _contracts(one))))


def _contracts(one: State) -> str:
    """`kubeflow, contents kept`; broken ones are named, whatever else was kept."""
    scores = one.checked.items()
    broken = [f"{name} broken: {count(tried - kept, 'point')}" for name, (kept, tried) in scores if kept < tried]
    return ", ".join(broken) or (f"{' and '.join(one.checked)} kept" if one.checked else "")


def _code(text: str) -> str:
    return f"`{_plain(text).replace('`', '')}`"


def _plain(text: str) -> str:
    return printable(text).replace("|", "\\|")
