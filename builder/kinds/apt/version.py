"""The order of Debian versions (Debian Policy 5.6.12, deb-version(7)).

A version is `[epoch:]upstream[-revision]`. Upstream and revision are compared in turns: a run of non-digits,
in which `~` sorts before the end, letters before everything else; then a run of digits, as a number. `key`
puts that order into a flat tuple of integers, so that Python's own comparison is Debian's:

    nondigits  → the weight of each character, then 0 for the end of the run (so `~`, -1, lies below it)
    digits     → the number

Every part ends with such a 0, hence two keys that agree so far always stand at the same kind of element.
"""

from __future__ import annotations

import re
from functools import lru_cache

_RUNS = re.compile(r"([^0-9]*)([0-9]*)")
_NOT_LETTER = 256


@lru_cache(maxsize=1 << 17)
def key(version: str) -> tuple[int, ...]:
    """A sort key: `key(a) < key(b)` exactly when dpkg calls `a` earlier than `b`."""
    epoch, colon, rest = version.partition(":")
    if not colon or not epoch.isdecimal():
        epoch, rest = "0", version
    upstream, _, revision = rest.rpartition("-")
    if not upstream:
        upstream, revision = rest, ""
    return (int(epoch), *_part(upstream), *_part(revision))


def _part(text: str) -> list[int]:
    """One of upstream and revision; an empty one equals "0", as in dpkg."""
    found: list[int] = []
    for nondigits, digits in _RUNS.findall(text):
        if not nondigits and not digits and found:
            break
        found += [_weight(character) for character in nondigits]
        found += [0, int(digits or "0")]
    found.append(0)
    return found


def _weight(character: str) -> int:
    if character == "~":
        return -1
    return ord(character) if character.isalpha() else ord(character) + _NOT_LETTER


def holds(version: str, operator: str, wanted: str) -> bool:
    """Whether `version operator wanted` is true; an empty operator always is (Debian Policy 7.1)."""
    if not operator:
        return True
    left, right = key(version), key(wanted)
    if operator == ">=":
        return left >= right
    if operator == "=":
        return left == right
    if operator == "<<":
        return left < right
    if operator == "<=":
        return left <= right
    return left > right
