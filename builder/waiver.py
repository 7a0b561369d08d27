"""Waivers: where the manifest departs from the rules of this house, in the open and with a reason.

A kind that allows any has a `waivers.py` in its folder with `declared(manifest, target)`. What they allow is that
kind's business; that they are told, and end on their day, is everybody's.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver:
    """One declaration of an image, of a set that it uses, or of its variant.

    Attributes:
        what: what it allows, in a few words: `override numpy==1.26.4`.
        reason: the manifest's own words.
        where: `stacks.toml:41`.
        until: the last day on which it holds; None for ever.
    """

    what: str
    reason: str
    where: str
    until: date | None = None

    def __str__(self) -> str:
        day = f" (until {self.until.isoformat()})" if self.until else ""
        return f"{self.what}{day}: {self.reason}"
