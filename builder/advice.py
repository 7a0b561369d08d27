"""What a change does to advisories: which it fixes, which it brings in, which are open as they were. Pure data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Became = Literal["new", "fixed", "open"]
"""What became of an advisory: it came with the change, went with it, or is there on both sides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Advised:
    """A vulnerability of one source package that one image brings.

    Attributes:
        url: where it is described, by its entry; "" where that does not say.
        severity: for people, `high 7.5`; `level` is its word and `rank` sorts it, the more the worse.
        source: what the entry calls the package; `packages` are those that were made of it.
        a, b: the versions; "" where a side does not have it.
        fixed: the first version that no entry is about, "" where none is known.
        image: whose lock has the package; `targets` are those that were compared, and hold it.
        accepted: why the manifest lets it be, and until when; "" where it does not.
    """

    became: Became
    id: str
    aliases: tuple[str, ...]
    summary: str
    url: str
    severity: str
    level: str
    rank: tuple[int, float]
    ecosystem: str
    source: str
    packages: tuple[str, ...]
    a: str
    b: str
    fixed: str
    image: str
    targets: tuple[str, ...]
    accepted: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """All that databases say about two sides.

    Attributes:
        rows: what is new first, then what is fixed, then what stays; of each the worst first.
        databases: name, entries (None of a service), and how many of these could not be read.
        uncovered: by kind, how many packages of B no database can know.
        unknown: targets of which it is not known what they hold.
    """

    rows: tuple[Advised, ...]
    databases: tuple[tuple[str, int | None, int], ...]
    uncovered: Mapping[str, int]
    unknown: tuple[str, ...]

    def of(self, became: Became) -> tuple[Advised, ...]:
        """Those of which that became; of such as are there, without what is accepted."""
        return tuple(one for one in self.rows if one.became == became and (became == "fixed" or not one.accepted))

    @property
    def accepted(self) -> tuple[Advised, ...]:
        """What is there, and does not count as open."""
        return tuple(one for one in self.rows if one.became != "fixed" and one.accepted)
