"""What an audit found, for a terminal: a part for each image that brings something, then what was not looked up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from builder.advisories.findings import Audited, Finding
from builder.exports.printable import columns, count, printable

_NAMES = 3
"""Aliases or packages that are shown; the rest is counted, and in JSON."""


def render(found: Audited) -> str:
    """The text."""
    parts = ["".join(f"{line}\n" for line in part) for part in (*_images(found), list(_end(found)))]
    return "\n".join(part for part in parts if part)


def _images(found: Audited) -> Iterator[list[str]]:
    shown = [one for one in found.findings if one.state != "below"]
    for (image, own, heirs), group in groupby(shown, key=lambda one: (one.image, one.own, one.heirs)):
        rows = list(group)
        where = ", ".join(map(str, own)) + (f"; inherited by {count(len(heirs), 'target')}" if heirs else "")
        yield [f"in {image} ({where})", *(f"  {line}" for line in _table(rows))]


def _table(rows: Sequence[Finding]) -> list[str]:
    head = ("severity", "advisory", "package", "version", "fixed in", "because of")
    return columns([head, *(_row(one) for one in rows)])


def _row(one: Finding) -> tuple[str, ...]:
    names = [subject.name for subject in one.packages]
    package = _some(names) if names == [one.source] else f"{_some(names)} ({printable(one.source)})"
    said = {"open": "", "ignored": "ignored"}.get(one.state, f"{one.state}: {printable(one.note)}")
    ended = f"; {printable(one.note)}" if one.state == "open" and one.note else ""
    via = min(filter(None, one.via), key=len, default="")
    return (
        str(one.severity) if not said else said.partition(":")[0],
        printable(one.id) + (f" ({_some(one.aliases)})" if one.aliases else ""),
        package,
        printable(one.version),
        printable(one.fixed) or "none yet",
        (said.partition(": ")[2] or printable(via)) + ended,
    )


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
    return ", ".join(map(printable, names[:_NAMES])) + more


def _end(found: Audited) -> Iterator[str]:
    states = [one.state for one in found.findings]
    told = [f"{states.count('open')} open"]
    told += [f"{states.count(state)} {state}" for state in ("accepted", "ignored") if state in states]
    if "below" in states:
        told.append(f"{states.count('below')} less severe")
    yield f"{', '.join(told)}; {count(found.checked, 'package')} of {count(len(found.targets), 'target')} looked up"
    if found.uncovered:
        kinds = ", ".join(f"{number} of {kind}" for kind, number in found.uncovered.items())
        yield f"not looked up, as no database knows them for certain: {kinds}"
    for place, entries, damaged in found.databases:
        if damaged:
            yield f"{printable(place)}: {damaged} of {entries} entries could not be read"
    for idle in found.idle:
        yield f"accepted, but nothing here has it: {printable(idle)}"
