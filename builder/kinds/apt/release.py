"""The Release file of a suite: what it lists, and whether it is the one that was asked for.

Which day it may be of:

- `Date` later than the manifest's `exclude_newer` → too new, unless the archive is exempt.
- `Valid-Until` guards against a mirror that is held back on purpose. It is compared with the earlier of now
  and the cutoff: who asks for the archive of a past day wants a file that was valid then. So a snapshot
  passes; a security suite of a month before the cutoff does not. Debian's main suites have no such field.
- A lock remembers the Date it was made from, and `resolve` refuses an older Release than that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from builder.digest import Digest
from builder.digits import digits
from builder.errors import HostileInput, StackbuildError
from builder.kinds.apt.places import STAMP


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A file that a Release file names: its digest and its size in bytes."""

    digest: Digest
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """The signed facts of one suite.

    Attributes:
        files: by path below `dists/<suite>/`.
        by_hash: files may be asked for by digest (`Acquire-By-Hash`), which a mirror's update cannot break.
        all_apart: packages of architecture `all` have an index of their own.
    """

    suite: str
    codename: str
    date: datetime
    valid_until: datetime | None
    by_hash: bool
    all_apart: bool
    files: Mapping[str, Listed]

    @property
    def stamp(self) -> str:
        """`date` as locks write it."""
        return self.date.strftime(STAMP)


class TooNewError(StackbuildError):
    """A Release file is later than the manifest's cutoff."""


def parse(text: str, *, where: str) -> Release:
    """Read the signed text of an InRelease file.

    Raises:
        HostileInput: a field is missing or malformed.
    """
    fields, files = _fields(text, where)
    try:
        date = _time(fields["Date"])
        until = _time(fields["Valid-Until"]) if "Valid-Until" in fields else None
    except (KeyError, ValueError, TypeError, OverflowError) as error:
        raise HostileInput(
            "Release file without a proper Date", where=where, expected="RFC 5322 dates", got=str(error)
        ) from None
    return Release(
        suite=fields.get("Suite", ""),
        codename=fields.get("Codename", ""),
        date=date,
        valid_until=until,
        by_hash=fields.get("Acquire-By-Hash", "") == "yes",
        all_apart="all" in fields.get("Architectures", "").split()
        and "Packages" not in fields.get("No-Support-for-Architecture-all", ""),
        files=files,
    )


def _fields(text: str, where: str) -> tuple[dict[str, str], dict[str, Listed]]:
    """One pass over 2,000 lines: the plain fields, and the lines of SHA256 (never of MD5Sum)."""
    fields: dict[str, str] = {}
    files: dict[str, Listed] = {}
    name = ""
    for line in text.split("\n"):
        if not line.startswith(" "):
            name, _, value = line.partition(":")
            if name in fields:
                raise HostileInput(f"Release file with {name} twice", where=where)
            if name:
                fields[name] = value.strip()
        elif name == "SHA256":
            try:
                digest, size, path = line.split()
                if not digits(size):  # Of a negative one, decompressors take that there is no limit.
                    raise ValueError
                files[path] = Listed(digest=Digest.parse("sha256:" + digest), size=int(size))
            except ValueError:
                raise HostileInput(
                    "malformed line in a Release file",
                    where=where,
                    expected="digest size path",
                    got=line[:100],
                ) from None
    return fields, files


def _time(text: str) -> datetime:
    found = parsedate_to_datetime(text)
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def refuse_other_suite(release: Release, suite: str, *, where: str) -> None:
    """Raise when a mirror serves another suite than was asked, correctly signed as that may be.

    Raises:
        HostileInput: neither Codename nor Suite is `suite`.
    """
    if suite not in (release.codename, release.suite):
        raise HostileInput(
            "another suite than was asked",
            where=where,
            expected=suite,
            got=f"Codename {release.codename or '(none)'}, Suite {release.suite or '(none)'}",
            next_step="correct the mirror, or the suites in stacks.toml",
        )


def refuse_untimely(release: Release, *, cutoff: datetime | None, now: datetime, where: str) -> None:
    """Raise when a Release file is of the wrong time; see the top of this module.

    Args:
        cutoff: `exclude_newer`, or None where the archive is exempt or there is none.

    Raises:
        TooNewError: it is later than the cutoff.
        HostileInput: it had expired.
    """
    if cutoff is not None and release.date > cutoff:
        raise TooNewError(
            "Release is newer than exclude-newer",
            where=where,
            expected=f"Date up to {cutoff:%Y-%m-%d %H:%M:%S} UTC",
            got=f"Date {release.date:%Y-%m-%d %H:%M:%S} UTC",
        )
    clock = now if cutoff is None else min(now, cutoff)
    if release.valid_until is not None and release.valid_until < clock:
        raise HostileInput(
            "Release has expired",
            where=where,
            expected=f"valid on {clock:%Y-%m-%d %H:%M:%S} UTC",
            got=f"Valid-Until {release.valid_until:%Y-%m-%d %H:%M:%S} UTC",
            next_step="use a mirror that is kept up to date, or set exclude-newer to a day when this one was",
        )
