"""The difference of two sides as Markdown, for a comment on a pull request: a table, and details to unfold.

A comment on GitHub holds 65,536 characters. Where that is too little, lists end early and say how much is left out:
first the later rows of each list, then whole sections, at last rows of the table.

Every foreign name stands in a code span (GitHub Flavored Markdown 0.29, 6.3), in which nothing is acted upon, no
mention, link or HTML; what would end the span or a table's cell is written as an escape.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from builder.difference import Report
from builder.exports import sections as told
from builder.exports.printable import amount, count, grown, printable
from builder.exports.sections import Section

LIMIT = 65_536
_LEAST = 600
"""Characters that are kept for what is said about what is left out."""
_CUT = 80
"""Characters that are kept for the same after one list."""


def render(report: Report) -> str:
    """The text, at most `LIMIT` characters."""
    found = told.sections(report)
    head = [f"### {_code(report.a)} → {_code(report.b)}", ""]
    same = told.unchanged(report)
    end = [f"{same}: {_some(list(report.same))}"] if same else []
    end += [*([""] if same else []), f"To push in all: **{told.sent(report.push)}**"]
    room = LIMIT - len("\n".join([*head, *end])) - _LEAST
    table = _table([_row(one) for one in found], room) if found else []
    room -= len("\n".join(table))
    details: list[str] = []
    for number, section in enumerate(found):
        text = _details(section, room // (len(found) - number))
        if not text:
            details += [
                "",
                f"The details of {count(len(found) - number, 'target')} do not fit; `--format json` has all.",
            ]
            break
        details += ["", text]
        room -= len(text) + 2
    return "\n".join([*head, *table, "", *end, *details]) + "\n"


def _table(rows: list[str], room: int) -> list[str]:
    lines = ["| target | packages | to download | layers | image | to push |", "|---|---|---|---|---|---|"]
    room -= len("\n".join(lines))
    for number, row in enumerate(rows):
        room -= len(row) + 1
        if room < 0:
            return [*lines, "", f"{count(len(rows) - number, 'target')} more, which `--format json` has."]
        lines.append(row)
    return lines


def _row(section: Section) -> str:
    one = section.difference
    where = " (new)" if one.a is None else " (removed)" if one.b is None else ""
    download = told.UNKNOWN if one.download is None else amount(one.download)
    cells = (
        f"{_code(one.name)}{where}",
        told.moves(one),
        download,
        _layers(section),
        told.images(one),
        told.sent(one.push),
    )
    return f"| {' | '.join(cells)} |"


def _layers(section: Section) -> str:
    one = section.difference
    if one.new is None or one.gone is None:
        return told.UNKNOWN
    return f"{len(one.new)} new, {len(one.gone)} gone" + ("" if one.exact else " (expected)")


@dataclass(frozen=True, slots=True)
class _List:
    title: str
    head: str
    rows: Sequence[str]

    @property
    def lines(self) -> list[str]:
        """All but the rows."""
        return [self.title, "", self.head, "|" + "---|" * (self.head.count("|") - 1)]


def _lists(section: Section) -> list[_List]:
    one = section.difference
    packages = [
        (change.how, change.package.kind, _code(change.package.name), _code(told.versions(change)), change.package.size)
        for change in section.packages
    ]
    layers = [
        f"| {swap.how} | {_code(swap.layer.name)} | {swap.sizes} | {_code(swap.layer.image)} |"
        for swap in section.layers
    ]
    disk = [
        f"| {row.kind} | {_code(row.name)} | {amount(row.a)} | {amount(row.b)} | {grown(row.b - row.a)} |"
        for row in section.grown
    ]
    found = [
        _List(
            f"Packages: {told.moves(one)}",
            "| | kind | package | version | to download |",
            [
                f"| {how} | {kind} | {name} | {version} | {amount(size)} |"
                for how, kind, name, version, size in packages
            ],
        ),
        _List(f"Layers: {told.layers(one)}", "| | layer | compressed | image |", layers),
        _List(
            f"On disk: {grown(sum(row.b - row.a for row in one.grown or ()))}",
            "| kind | package | before | after | |",
            disk,
        ),
    ]
    return [one for one in found if one.rows]


def _details(section: Section, room: int) -> str:
    """What one pair has to tell, folded; "" if not even its beginning has room."""
    one = section.difference
    lines = ["<details>", f"<summary>{_html(one.name)}</summary>", ""]
    lines += [line for note in one.notes for line in (f"Note: {_code(note)}", "")]
    for name, number in section.earlier:
        lines += [f"{count(number, 'package')} as in {_code(name)}.", ""]
    if section.above:
        lines += [f"{count(section.above, 'layer')} as above.", ""]
    end = "\n</details>"
    lists = _lists(section)
    room -= len("\n".join(lines)) + len(end) + sum(len("\n".join(one.lines)) + _CUT for one in lists)
    if room < 0:
        return ""
    for number, found in enumerate(lists):
        kept = _fitting(found.rows, room // (len(lists) - number))
        room -= sum(len(row) + 1 for row in kept)
        lines += [*found.lines, *kept, ""]
        if len(kept) < len(found.rows):
            lines += [f"{len(found.rows) - len(kept)} more, which `--format json` has.", ""]
    return "\n".join(lines) + end


def _fitting(rows: Sequence[str], room: int) -> list[str]:
    kept: list[str] = []
    for row in rows:
        room -= len(row) + 1
        if room < 0:
            break
        kept.append(row)
    return kept


def _some(names: list[str]) -> str:
    shown = ", ".join(map(_code, names[:20]))
    return shown + (f" and {len(names) - 20} more" if len(names) > 20 else "")


def _code(text: str) -> str:
    """A code span; "" for nothing."""
    plain = printable(text).replace("`", r"\x60").replace("|", r"\x7c").strip()
    return f"`{plain}`" if plain else ""


def _html(text: str) -> str:
    """Text inside HTML, where Markdown does not count."""
    plain = printable(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f"<code>{plain}</code>"
