"""What contracts came to, as a table for a terminal: a line for each target and runtime, a column for each contract."""

from __future__ import annotations

from collections.abc import Sequence

from builder.checks import Checked
from builder.exports.printable import columns, printable


def render(found: Sequence[Checked]) -> str:
    """The text: the table, then each broken point with its problem."""
    contracts = tuple(dict.fromkeys(contract for one in found for contract, _ in one.outcomes))
    rows = [("target", "runtime", *(contracts or ("contracts",)))]
    rows += [(str(one.target), one.runtime, *(_cell(one, contract) for contract in rows[0][2:])) for one in found]
    lines = columns(rows)
    for one in found:
        for contract, outcome in one.outcomes:
            if outcome.problem:
                lines += ["", f"{one.target}: {contract} on {one.runtime}: {outcome.name}"]
                lines += [f"    {printable(line)}" for line in outcome.problem.splitlines()]
    return "\n".join(lines) + "\n"


def _cell(one: Checked, contract: str) -> str:
    if not one.built:
        return "not built"
    points = [outcome for name, outcome in one.outcomes if name == contract]
    broken = sum(bool(outcome.problem) for outcome in points)
    if not points:
        return "-"
    return f"{broken} of {len(points)} broken" if broken else "kept"
