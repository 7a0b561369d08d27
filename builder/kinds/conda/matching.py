"""Which package satisfies which MatchSpec (CEP 29), by rattler.

Imported only where a conda lock is checked. Matching runs nothing in the background, unlike solving, so it needs no
process of its own.
"""

from __future__ import annotations

from functools import lru_cache

from rattler import MatchSpec, PackageRecord, Version
from rattler.package import BuildString


@lru_cache(maxsize=4096)
def record(name: str, version: str, build: str) -> PackageRecord:
    """A package as far as specs of dependencies look at it.

    Raises:
        ValueError: it has no version that conda knows.
    """
    try:
        return PackageRecord(name, version, BuildString(build), 0, "noarch")
    except Exception as error:  # each of rattler's own error classes means just this
        raise ValueError(str(error)) from None


@lru_cache(maxsize=16384)
def parsed(spec: str) -> MatchSpec:
    """A spec.

    Raises:
        ValueError: it is none.
    """
    try:
        return MatchSpec(spec)
    except Exception as error:  # as above
        raise ValueError(str(error)) from None


def conditional(spec: str) -> bool:
    """Whether a dependency holds only beside another package (`foo[when="python >=3.13"]`)."""
    return parsed(spec).condition is not None


def satisfies(package: PackageRecord, spec: str) -> bool:
    """Whether the package is what the spec asks for."""
    return parsed(spec).matches(package)


@lru_cache(maxsize=16384)
def ordered(version: str) -> tuple[int, Version | str]:
    """A sort key of any text in conda's order of versions; what is none comes before all that are."""
    try:
        return (1, Version(version))
    except Exception:  # each of rattler's own error classes means just this
        return (0, version)
