"""What a change does to advisories, in words for people: one sentence, and rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from builder.advice import Advice, Advised
from builder.exports.printable import count

_TOLD = ("critical", "high")
_NAMES = 3
"""Packages or targets that are told by name; the rest is counted."""


def sentence(advice: Advice) -> str:
    """`fixes 2 advisories (1 high), brings in 1, 3 still open, 1 accepted`; each advisory once in each number."""
    rows = (
        ("fixes {}", advice.of("fixed")),
        ("brings in {}", advice.of("new")),
        ("{} still open", advice.of("open")),
        ("{} accepted", advice.accepted),
    )
    parts = list[str]()
    for text, found in rows:
        if number := len({one.id for one in found}):
            told = str(number) if parts else count(number, "advisory", "advisories")
            parts.append(text.format(told) + _levels(found))
    if parts:
        return ", ".join(parts)
    return "no advisory is open" + (", as far as could be looked up" if any(gaps(advice)) else "")


def _levels(found: Sequence[Advised]) -> str:
    numbers = [(len({one.id for one in found if one.level == level}), level) for level in _TOLD]
    told = ", ".join(f"{number} {level}" for number, level in numbers if number)
    return f" ({told})" if told else ""


def lists(advice: Advice) -> tuple[tuple[str, tuple[Advised, ...]], ...]:
    """Headings, each with what there is to tell below it."""
    found = (
        ("Brought in", advice.of("new")),
        ("Fixed", advice.of("fixed")),
        ("Still open", advice.of("open")),
        ("Accepted", advice.accepted),
    )
    return tuple((title, rows) for title, rows in found if rows)


def package(one: Advised) -> str:
    """`jinja2`; `libssl3, openssl (openssl)` where packages are called otherwise than their source."""
    names = _some(one.packages)
    return names if one.packages == (one.source,) else f"{names} ({one.source})"


def versions(one: Advised) -> str:
    """`3.1.5 → 3.1.6`, the one that there is, or where it went."""
    if one.became == "fixed":
        return f"{one.a} → {one.b or 'removed'}"
    return " → ".join(dict.fromkeys(filter(None, (one.a, one.b))))


def remedy(one: Advised) -> str:
    """What is known against what is there: an acceptance, or the first version without it."""
    if one.became == "fixed":
        return ""
    return one.accepted or (f"fixed in {one.fixed}" if one.fixed else "no fix yet")


def where(one: Advised) -> str:
    """The image whose lock has the package, and how many targets have it so."""
    return f"{one.image}, {count(len(one.targets), 'target')}"


def gaps(advice: Advice) -> Iterator[str]:
    """What nobody can tell, in sentences."""
    if advice.uncovered:
        kinds = ", ".join(f"{number} of {kind}" for kind, number in advice.uncovered.items())
        yield f"not looked up, as no database knows them for certain: {kinds}"
    if advice.unknown:
        yield f"not looked up, as it is not known what they hold: {_some(advice.unknown)}"
    for place, entries, damaged in advice.databases:
        if damaged:
            yield f"{place}: {damaged} of {entries} entries could not be read"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
    return ", ".join(names[:_NAMES]) + more
