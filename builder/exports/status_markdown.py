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
    """`281.1 MB, kubeflow and contents kept on native`, `locked`, or what it waits for."""
    if one.awaits:
        return f"awaits {', '.join(map(_code, one.awaits))}"
    if one.locked != "yes":
        return _plain(one.locked)
    if one.built != "yes":
        return "locked" if one.built == "no" else "locked, built before"
    return ", ".join(filter(None, (amount(one.size), _contracts(one))))


def _contracts(one: State) -> str:
    """`kubeflow and contents kept on docker and native`; broken ones are named, whatever else was kept."""
    broken = [
        f"{name} broken on {runtime}: {count(tried - kept, 'point')}"
        for name, ran in one.checked.items()
        for runtime, (kept, tried) in ran.items()
        if kept < tried
    ]
    if broken:
        return ", ".join(broken)
    together: dict[tuple[str, ...], list[str]] = {}
    for name, ran in one.checked.items():
        together.setdefault(tuple(ran), []).append(name)
    return ", ".join(f"{' and '.join(names)} kept on {' and '.join(ran)}" for ran, names in together.items())


def _code(text: str) -> str:
    return f"`{_plain(text).replace('`', '')}`"


def _plain(text: str) -> str:
    return printable(text).replace("|", "\\|")
