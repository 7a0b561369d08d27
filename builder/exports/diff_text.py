"""The difference of two sides for a terminal: short, aligned."""

from __future__ import annotations

from collections.abc import Iterator

from builder.difference import Report
from builder.exports import sections as told
from builder.exports.printable import amount, columns, count, grown, printable
from builder.exports.sections import Section

MOST = 30
"""Rows of one list; what is left out is said."""


def render(report: Report) -> str:
    """The text; a section for each pair that differs, then what is the same, then the bytes to push in all."""
    lines = [f"A  {printable(report.a)}", f"B  {printable(report.b)}", ""]
    for section in told.sections(report):
        lines += [*_section(section), ""]
    if same := told.unchanged(report):
        lines.append(f"{same}: {_listed([printable(one) for one in report.same])}")
    lines.append(f"to push in all: {told.sent(report.push)}")
    return "\n".join(lines) + "\n"


def _section(section: Section) -> Iterator[str]:
    one = section.difference
    yield printable(one.name) + (" (only in B)" if one.a is None else " (only in A)" if one.b is None else "")
    download = f"; {amount(one.download)} to download" if one.download else ""
    yield f"  packages  {told.moves(one)}{download}"
    rows: list[tuple[str, ...]] = [
        (
            change.how,
            change.package.kind,
            printable(change.package.name),
            printable(told.versions(change)),
            amount(change.package.size) if change.package.size else "",
        )
        for change in section.packages
    ]
    yield from _rows(rows, frozenset({4}))
    for name, number in section.earlier:
        yield f"    {count(number, 'package')} as in {printable(name)}"
    yield f"  layers    {told.layers(one)}"
    layers: list[tuple[str, ...]] = [
        (swap.how, printable(swap.layer.name), swap.sizes, swap.layer.image) for swap in section.layers
    ]
    yield from _rows(layers, frozenset())
    if section.above:
        yield f"    {count(section.above, 'layer')} as above"
    if one.grown:
        yield f"  on disk   {grown(sum(row.b - row.a for row in one.grown))}"
        disk: list[tuple[str, ...]] = [
            (row.kind, printable(row.name), amount(row.a), "→", amount(row.b), grown(row.b - row.a))
            for row in section.grown
        ]
        yield from _rows(disk, frozenset({2, 4, 5}))
    if any(size is not None for size in one.compressed):
        yield f"  image     {told.images(one)}"
    yield f"  to push   {told.sent(one.push)}"
    for note in one.notes:
        yield f"  note: {printable(note)}"


def _rows(rows: list[tuple[str, ...]], right: frozenset[int]) -> Iterator[str]:
    if rows:
        yield from (f"    {line}" for line in columns(rows[:MOST], right))
    if len(rows) > MOST:
        yield f"    and {len(rows) - MOST} more, which --format json has"


def _listed(names: list[str]) -> str:
    return ", ".join(names[:MOST]) + (f" and {len(names) - MOST} more" if len(names) > MOST else "")
