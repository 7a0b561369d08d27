"""The difference of two sides as Markdown, for a comment on a pull request: a summary, and details to unfold.

A comment on GitHub holds 65,536 characters. Where that is too little, lists end early and say how much is left out:
first the later rows of each list, then whole sections, at last rows of the table. The summary stays.

Foreign texts are written as `markdown` says.
"""

from __future__ import annotations

from collections.abc import Iterator

from builder.advice import Advice, Advised
from builder.difference import Report
from builder.exports import advised
from builder.exports import sections as told
from builder.exports.markdown import Table, code, fitting, folded, html, link, row
from builder.exports.printable import amount, count, grown
from builder.exports.sections import Section

LIMIT = 65_536
_LEAST = 600
"""Characters that are kept for what is said about what is left out."""
_FAIR = 3000
"""Characters that a target has at least, as long as there are any: rather a few targets than a line of each."""
_OPEN = 12
"""Targets that are told of without unfolding."""
_HEAD = "| target | packages | to download | layers | image | to push |"


def render(report: Report) -> str:
    """The text, at most `LIMIT` characters."""
    found = told.sections(report)
    lines = [f"### {code(report.a)} → {code(report.b)}", "", *_summary(report)]
    room = LIMIT - len("\n".join(lines)) - _LEAST
    parts = [_targets(found, room // 2)] if found else []
    if report.advice is not None and (report.advice.rows or any(advised.gaps(report.advice))):
        parts.append(_advice(report.advice, (room - sum(map(len, parts))) // 2))
    room -= sum(len(one) + 2 for one in parts)
    if least := sum(one.empty for one in found):
        parts.append(f"Of {count(least, 'target')} there is no more to tell than of those above.")
        found = tuple(one for one in found if not one.empty)
    for number, section in enumerate(found):
        text = _details(section, min(room, max(_FAIR, room // (len(found) - number))))
        if not text:
            parts.append(f"The details of {count(len(found) - number, 'target')} do not fit; `--format json` has all.")
            break
        parts.append(text)
        room -= len(text) + 2
    return "\n\n".join(["\n".join(lines), *parts]) + "\n"


def _summary(report: Report) -> Iterator[str]:
    """What must be seen without unfolding anything: of bounded length, whatever the report is about."""
    differ = len(report.differences)
    parts = [f"{count(differ, 'target')} {'differs' if differ == 1 else 'differ'}"] if differ else []
    if same := told.unchanged(report):
        parts.append(same + (f": {', '.join(map(code, report.same))}" if len(report.same) <= 3 else ""))
    yield f"{'; '.join([*parts, ''])}to push in all: **{told.sent(report.push)}**"
    if causes := told.roots(report):
        yield ""
        yield f"Because of {', '.join(code(one) for one in causes[:_OPEN])}" + (
            f" and {len(causes) - _OPEN} more" if len(causes) > _OPEN else ""
        )
    if report.advice is not None:
        yield ""
        yield f"Advisories: **{advised.sentence(report.advice)}**"


def _targets(found: tuple[Section, ...], room: int) -> str:
    """The table of all that differ; folded, if it is long."""
    table = Table("", _HEAD, [_row(one) for one in found])
    if len(found) > _OPEN:
        return folded(count(len(found), "target"), (), [table], room)
    kept = fitting(table.rows, room)
    lines = [*table.lines, *kept]
    if len(kept) < len(found):
        lines += ["", f"{len(found) - len(kept)} more, which `--format json` has."]
    return "\n".join(lines)


def _row(section: Section) -> str:
    one = section.difference
    where = " (new)" if one.a is None else " (removed)" if one.b is None else ""
    return row(
        f"{code(one.name)}{where}",
        told.moves(one),
        told.UNKNOWN if one.download is None else amount(one.download),
        _layers(section),
        told.images(one),
        told.sent(one.push),
    )


def _layers(section: Section) -> str:
    one = section.difference
    if one.new is None or one.gone is None:
        return told.UNKNOWN
    return f"{len(one.new)} new, {len(one.gone)} gone" + ("" if one.exact else " (expected)")


def _advice(advice: Advice, room: int) -> str:
    tables = [
        Table(
            f"{title}: {len({one.id for one in rows})}",
            "| severity | advisory | package | version | remedy | image | |",
            [_advised(one) for one in rows],
        )
        for title, rows in advised.lists(advice)
    ]
    return folded("Advisories", map(code, advised.gaps(advice)), tables, room)


def _advised(one: Advised) -> str:
    return row(
        one.severity,
        link(one.id, one.url) + (f" {code(one.aliases[0])}" if one.aliases else ""),
        code(advised.package(one)),
        code(advised.versions(one)),
        code(advised.remedy(one)),
        code(advised.where(one)),
        code(one.summary),
    )


def _tables(section: Section) -> list[Table]:
    one = section.difference
    found = [
        Table(
            f"Packages: {told.moves(one)}",
            "| | kind | package | version | to download | asked for by |",
            [
                row(
                    change.how,
                    change.package.kind,
                    code(change.package.name),
                    code(told.versions(change)),
                    amount(change.package.size),
                    code(told.reason(change)),
                )
                for change in section.packages
            ],
        ),
        Table("Besides:", "| image | |", [row(code(cause.image), code(cause.text)) for cause in section.causes]),
        Table(
            f"Layers: {told.layers(one)}",
            "| | layer | compressed | image |",
            [row(swap.how, code(swap.layer.name), swap.sizes, code(swap.layer.image)) for swap in section.layers],
        ),
        Table(
            f"On disk: {grown(sum(each.b - each.a for each in one.grown or ()))}",
            "| kind | package | before | after | |",
            [
                row(each.kind, code(each.name), amount(each.a), amount(each.b), grown(each.b - each.a))
                for each in section.grown
            ],
        ),
    ]
    return [each for each in found if each.rows]


def _details(section: Section, room: int) -> str:
    """What one pair has to tell, folded; "" if not even its beginning has room."""
    said = [f"Note: {code(note)}" for note in section.difference.notes]
    said += [f"{count(number, 'package')} as in {code(name)}." for name, number in section.earlier]
    if section.above:
        said.append(f"{count(section.above, 'layer')} as above.")
    return folded(html(section.difference.name), said, _tables(section), room)
