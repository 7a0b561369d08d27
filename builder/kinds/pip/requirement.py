"""Requirements as text: normalised once, parsed once (PEP 508, PEP 440, PEP 503).

A marker is judged for the target, never for the interpreter that runs stackbuild.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import lru_cache

from packaging.markers import InvalidMarker, Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from builder.errors import Problems, StackbuildError


@lru_cache(maxsize=1 << 15)
def parse(text: str) -> Requirement:
    """One requirement; do not change what is returned, it is shared.

    Raises:
        InvalidRequirement: not PEP 508.
    """
    return Requirement(text)


@lru_cache(maxsize=1 << 15)
def satisfies(version: str, requirement: str) -> bool:
    """Whether a pinned version is one that the requirement allows; a pin may be a pre-release (PEP 440)."""
    wanted, found = specifier(requirement), _version(version)
    return found is not None and wanted.contains(found, prereleases=True)


_PLAIN = re.compile(r"([a-z0-9]+(?:-[a-z0-9]+)*)(?:\[[a-z0-9,-]+\])?([<>=!~][^;@ ]*)?")
"""What `text` writes, without a marker. Packaging's full parser takes 50 µs, and a check reads thousands."""


def specifier(requirement: str) -> SpecifierSet:
    plain = _PLAIN.fullmatch(requirement)
    return _specifiers(plain.group(2) or "") if plain else parse(requirement).specifier


def name(requirement: str) -> str:
    plain = _PLAIN.fullmatch(requirement)
    return plain.group(1) if plain else canonicalize_name(parse(requirement).name)


def readable(requirement: str) -> bool:
    """Whether the text is a requirement at all."""
    try:
        specifier(requirement)
    except ValueError:  # the base of InvalidRequirement and InvalidSpecifier
        return False
    return True


@lru_cache(maxsize=1 << 15)
def _specifiers(text: str) -> SpecifierSet:
    return SpecifierSet(text)


@lru_cache(maxsize=1 << 14)
def _version(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None


def text(requirement: Requirement, *, marker: bool) -> str:
    """The one spelling of a requirement: PEP 503 name, sorted extras, sorted specifiers, one space before `;`."""
    extras = ",".join(sorted(canonicalize_name(extra) for extra in requirement.extras))
    specifiers = ",".join(sorted(str(one) for one in requirement.specifier))
    found = canonicalize_name(requirement.name) + (f"[{extras}]" if extras else "") + specifiers
    return f"{found} ; {requirement.marker}" if marker and requirement.marker else found


def normalise(request: Iterable[str]) -> tuple[str, ...]:
    """The request as it stands in a lock: every item in its one spelling, sorted, each once.

    Raises:
        Problems: items that are no requirement, or name a URL, which no index and no digest answers for.
    """
    found: set[str] = set()
    problems: list[StackbuildError] = []
    for item in request:
        try:
            one = parse(item)
        except InvalidRequirement as error:
            problems.append(StackbuildError(f"not a pip requirement: {item}", got=str(error).splitlines()[0]))
            continue
        if one.url:
            problems.append(
                StackbuildError(
                    f"pip request names a URL: {one.name}",
                    expected="a name and a version that an index holds",
                    next_step=f'write "{one.name}==VERSION", or use the fetch kind for the file',
                )
            )
            continue
        found.add(text(one, marker=True))
    if problems:
        raise Problems(problems)
    return tuple(sorted(found))


def active(request: Iterable[str], environment: Mapping[str, str]) -> tuple[str, ...]:
    """The items whose marker is true for the target, without their markers, in the order given."""
    return tuple(text(one, marker=False) for one in map(parse, request) if holds(one.marker, environment, ()))


def holds(marker: Marker | None, environment: Mapping[str, str], extras: Iterable[str]) -> bool:
    """Whether a marker is true for the target with any of the extras, or with none."""
    if marker is None:
        return True
    return any(marker.evaluate({**environment, "extra": extra}) for extra in ("", *extras))


_NAME = re.compile(r"\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)")


@lru_cache(maxsize=1 << 15)
def foreign(line: str) -> tuple[Requirement, bool]:
    """A Requires-Dist line of somebody's wheel, and whether it had to be repaired.

    Old wheels hold specifiers that PEP 440 forbids (`>=1.0.*`). The resolver repairs some; here the name and the
    marker are kept and the specifier goes, as it only serves the later check of a solution already found.
    """
    try:
        return Requirement(line), False
    except InvalidRequirement:
        found = _NAME.match(line)
        bare = Requirement(found.group(1) if found else "invalid")
        tail = line.partition(";")[2]
        if tail:
            with suppress(InvalidMarker):
                bare.marker = Marker(tail)
        return bare, True
