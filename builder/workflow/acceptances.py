"""What the manifest says of advisories: which are accepted, why, and until when."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date

from builder.advisories.hits import Hit
from builder.errors import StackbuildError, raise_all
from builder.manifest.model import Manifest
from builder.manifest.settings import Acceptance


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """An acceptance.

    Attributes:
        until: its last day.
        where: its place in the manifest.
    """

    said: Acceptance
    until: date
    where: str

    def about(self, hit: Hit, packages: Collection[str]) -> bool:
        """Whether it is about a vulnerability.

        Args:
            packages: all names of the package that it is in.
        """
        one = self.said
        here = one.id in hit.names and (not one.package or one.package in packages)
        return here and (not one.images or hit.subject.image in one.images)


def acceptances(manifest: Manifest) -> tuple[Accepted, ...]:
    """All of them, in the order of the manifest.

    Raises:
        Problems: some name no day of the calendar.
    """
    found, problems = list[Accepted](), list[StackbuildError]()
    for number, one in enumerate(manifest.audit.accept):
        where = f"{manifest.path.name}:{manifest.lines.get(f'audit.accept[{number}]', 1)}"
        try:
            found.append(Accepted(said=one, until=date.fromisoformat(one.until), where=where))
        except ValueError:
            problems.append(
                StackbuildError(f"no such day: {one.until}", where=where, expected="a date of the calendar")
            )
    raise_all(problems)
    return tuple(found)


def standing(accepted: Sequence[Accepted], hit: Hit, packages: Collection[str], today: date) -> tuple[bool, str]:
    """Whether a vulnerability is accepted today, and what a reader must know of that, "" for nothing."""
    note = ""
    for one in accepted:
        if one.about(hit, packages):
            if one.until >= today:
                return True, f"{one.said.reason} (until {one.until}, {one.where})"
            note = f"accepted until {one.until} only ({one.where}): {one.said.reason}"
    return False, note
