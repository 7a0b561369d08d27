"""How severe an advisory is, by what its entry says and nothing else.

The score of a vector follows from the vector alone, by the formulas of CVSS 2.0, 3.x and 4.0; where an entry has no
vector, the word of its database counts. An entry that has neither is `unknown`, not harmless.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from builder.advisories.entry import Advisory

LEVELS: Final = ("none", "low", "medium", "high", "critical", "unknown")
"""The qualitative ratings of CVSS 4.0 (and 3.1), the least first; what is unknown may be anything."""

_WORDS: Final = {"moderate": "medium", "negligible": "low", "important": "high", "untriaged": "unknown"}
_LEAST: Final = ((9.0, "critical"), (7.0, "high"), (4.0, "medium"), (0.1, "low"))


@dataclass(frozen=True, slots=True, order=True)
class Severity:
    """A level of LEVELS, and the score that it comes from; None where it comes from a word, or is unknown."""

    level: str = "unknown"
    score: float | None = None
    vector: str = ""

    @property
    def rank(self) -> tuple[int, float]:
        """The more, the more severe; unknown before everything."""
        return LEVELS.index(self.level), self.score or 0.0

    def __str__(self) -> str:
        return self.level if self.score is None else f"{self.level} {self.score:.1f}"


def severity(advisories: Sequence[Advisory]) -> Severity:
    """Of advisories about one vulnerability, the highest that any of them says."""
    said = [one for advisory in advisories for one in _of(advisory)]
    return max((one for one in said if one.level != "unknown"), key=lambda one: one.rank, default=Severity())


def _of(advisory: Advisory) -> list[Severity]:
    scored = [found for kind, text in advisory.vectors if (found := _scored(kind, text)) is not None]
    if scored:
        return scored
    words = [text for kind, text in advisory.vectors if not kind.startswith("CVSS_")]  # Ubuntu's priorities
    return [Severity(_level(word)) for word in (*words, advisory.word)]


def _level(word: str) -> str:
    found = _WORDS.get(word.lower(), word.lower())
    return found if found in LEVELS else "unknown"


def _scored(kind: str, vector: str) -> Severity | None:
    """None for what is no vector of that type."""
    from cvss import CVSS2, CVSS3, CVSS4  # type: ignore[import-untyped]
    from cvss.exceptions import CVSSError  # type: ignore[import-untyped]

    reader = {"CVSS_V2": CVSS2, "CVSS_V3": CVSS3, "CVSS_V4": CVSS4}.get(kind)
    if reader is None:
        return None
    try:
        score = float(reader(vector).base_score)
    except (CVSSError, ArithmeticError, ValueError, KeyError):
        return None
    return Severity(next((level for least, level in _LEAST if score >= least), "none"), score, vector)
