"""The difference of two sides for a terminal: short, aligned."""

from __future__ import annotations

from collections.abc import Iterator

from builder.advice import Advice
from builder.difference import Change, Report
from builder.exports import advised
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
    if report.advice is not None:
        lines += _advice(report.advice)
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
            printable(_reason(change)),
        )
        for change in section.packages
    ]
    yield from _rows(rows, frozenset({4}))
    for name, number in section.earlier:
        yield f"    {count(number, 'package')} as in {printable(name)}"
    for cause in section.causes:
        yield f"  because   {printable(cause.image)}: {printable(cause.text)}"
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


def _reason(change: Change) -> str:
    asked = change.asked
    if asked is None or asked.via:
        return f"({told.reason(change)})" if asked is not None else ""
    return f"{asked.by} ({asked.where})" if asked.where else asked.by


def _advice(advice: Advice) -> Iterator[str]:
    yield f"advisories: {advised.sentence(advice)}"
    for title, found in advised.lists(advice):
        yield f"  {title.lower()}"
        rows: list[tuple[str, ...]] = [
            (
                one.severity,
                printable(one.id) + (f" ({printable(one.aliases[0])})" if one.aliases else ""),
                printable(advised.package(one)),
                printable(advised.versions(one)),
                printable(advised.remedy(one)),
                printable(advised.where(one)),
            )
            for one in found
        ]
        yield from _rows(rows, frozenset())
    yield from (f"  {printable(one)}" for one in advised.gaps(advice))


def _rows(rows: list[tuple[str, ...]], right: frozenset[int]) -> Iterator[str]:
    if rows:
        yield from (f"    {line}" for line in columns(rows[:MOST], right))
    if len(rows) > MOST:
        yield f"    and {len(rows) - MOST} more, which --format json has"


def _listed(names: list[str]) -> str:
    return ", ".join(names[:MOST]) + (f" and {len(names) - MOST} more" if len(names) > MOST else "")
