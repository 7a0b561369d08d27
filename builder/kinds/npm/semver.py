"""Versions and ranges as npm reads them: Semantic Versioning 2.0.0, and the range grammar of node-semver.

    set  ::= range ('||' range)*                      any of them
    range ::= partial ' - ' partial | simple*         all of them
    simple ::= ('<' | '>' | '>=' | '<=' | '=' | '~' | '^')? partial

Every range becomes comparators of whole versions: `^1.2` is `>=1.2.0 <2.0.0-0`. A version with a prerelease satisfies
a range only if one of its comparators has a prerelease of the very same three numbers.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

_PRE = r"(?:-?((?:[0-9A-Za-z-]+)(?:\.[0-9A-Za-z-]+)*))?(?:\+[0-9A-Za-z.-]+)?"
_VERSION: Final = re.compile(rf"[v=\s]*(\d{{1,16}})\.(\d{{1,16}})\.(\d{{1,16}}){_PRE}\s*")
_X = r"(\d{1,16}|[xX*])"
_PARTIAL: Final = rf"[v=\s]*{_X}(?:\.{_X}(?:\.{_X}{_PRE})?)?"
_SIMPLE: Final = re.compile(rf"(~>?|\^|<=|>=|<|>|=)?\s*{_PARTIAL}(?=\s|$)\s*")
_HYPHEN: Final = re.compile(rf"\s*({_PARTIAL})\s+-\s+({_PARTIAL})\s*")
_WHOLE: Final = re.compile(_PARTIAL)

_OPERATORS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
}


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """A version, ordered by precedence (SemVer 2.0.0, 11); build metadata is not part of it.

    `rank` is (0, …) before a release and (1,) for one, so that tuples compare as the specification has it.
    """

    numbers: tuple[int, int, int]
    rank: tuple[Any, ...] = (1,)

    @classmethod
    def parse(cls, text: str) -> Version | None:
        """The version, `v1.2.3` and ` = 1.2.3` too; None where it is none."""
        found = _VERSION.fullmatch(text)
        return None if found is None else cls((int(found[1]), int(found[2]), int(found[3])), _rank(found[4]))

    @property
    def pre(self) -> bool:
        return self.rank != (1,)


_Comparator = tuple[str, Version]
_FIRST: Final[tuple[Any, ...]] = (0, ((0, 0, ""),))
"""The rank of `-0`, the lowest prerelease."""


def _rank(pre: str | None) -> tuple[Any, ...]:
    if not pre:
        return (1,)
    return (0, tuple((0, int(one), "") if one.isdigit() else (1, 0, one) for one in pre.split(".")))


def satisfies(version: str, range_: str) -> bool:
    """Whether a version lies in a range; a text that is no range holds nothing."""
    found = Version.parse(version)
    return found is not None and any(_within(found, one) for one in _sets(range_))


def is_range(text: str) -> bool:
    """Whether a text is a range at all, not a tag or a URL."""
    return bool(_sets(text))


def _within(version: Version, comparators: tuple[_Comparator, ...]) -> bool:
    if not all(_OPERATORS[sign](version, other) for sign, other in comparators):
        return False
    return not version.pre or any(other.pre and other.numbers == version.numbers for _, other in comparators)


def _sets(text: str) -> list[tuple[_Comparator, ...]]:
    found = (_comparators(part) for part in text.split("||"))
    return [one for one in found if one is not None]


def _comparators(text: str) -> tuple[_Comparator, ...] | None:
    if hyphen := _HYPHEN.fullmatch(text):
        low, high = hyphen[1], hyphen[6]
        return (*_plain(">=", _WHOLE.fullmatch(low)), *_plain("<=", _WHOLE.fullmatch(high)))
    text = text.strip()
    comparators: list[_Comparator] = []
    at = 0
    while at < len(text):
        simple = _SIMPLE.match(text, at)
        if simple is None:
            return None
        comparators += _simple(simple)
        at = simple.end()
    return tuple(comparators) or (_least(0, 0, 0),)


def _simple(found: re.Match[str]) -> tuple[_Comparator, ...]:
    sign = found[1] or "="
    parts, pre = [_number(found[n]) for n in (2, 3, 4)], found[5]
    if sign[0] == "~":
        return _span(parts, pre, 0 if parts[1] is None else 1)
    if sign == "^":
        return _span(parts, pre, _leading(parts))
    return _compared(sign, parts, pre)


def _plain(sign: str, found: re.Match[str] | None) -> tuple[_Comparator, ...]:
    assert found is not None
    return _compared(sign, [_number(found[n]) for n in (1, 2, 3)], found[4])


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdigit() else None


def _leading(parts: list[int | None]) -> int:
    """The first number that `^` holds fast: the first that is not 0, else the last that is given."""
    for place, number in enumerate(parts):
        if number is None:
            return max(0, place - 1)
        if number:
            return place
    return 2


def _span(parts: list[int | None], pre: str | None, held: int) -> tuple[_Comparator, ...]:
    """From the partial version to before the next one at place `held`."""
    if parts[0] is None:
        return (_least(0, 0, 0),)
    low = _filled(parts)
    kept = _rank(pre) if None not in parts else (1,)
    return ((">=", Version(low, kept)), ("<", Version(_next(low, held), _FIRST)))


def _compared(sign: str, parts: list[int | None], pre: str | None) -> tuple[_Comparator, ...]:
    missing = parts.index(None) if None in parts else 3
    low = _filled(parts[:missing] + [None] * (3 - missing))
    if missing == 3:
        return ((sign, Version(low, _rank(pre))),)
    if missing == 0:
        return (("<", Version((0, 0, 0), _FIRST)),) if sign in "<>" else (_least(0, 0, 0),)
    after = _next(low, missing - 1)
    match sign:
        case ">":
            return (_least(*after),)
        case "<":
            return (("<", Version(low, _FIRST)),)
        case ">=":
            return (_least(*low),)
        case "<=":
            return (("<", Version(after, _FIRST)),)
        case _:
            return (_least(*low), ("<", Version(after, _FIRST)))


def _least(major: int, minor: int, patch: int) -> _Comparator:
    return (">=", Version((major, minor, patch)))


def _filled(parts: list[int | None]) -> tuple[int, int, int]:
    major, minor, patch = (part or 0 for part in parts)
    return major, minor, patch


def _next(numbers: tuple[int, int, int], place: int) -> tuple[int, int, int]:
    major, minor, patch = numbers
    return ((major + 1, 0, 0), (major, minor + 1, 0), (major, minor, patch + 1))[place]
