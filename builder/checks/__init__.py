"""Contracts: what an image must do once it runs. One file each, with a function `check(subject)`.

A contract yields outcomes; it never stops at the first that fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from builder.errors import StackbuildError
from builder.runtime import Image


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One point of a contract: kept when `problem` is empty."""

    name: str
    problem: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The image under test."""

    image: Image
    env: dict[str, str]


class Broken(Exception):
    """A point of the contract is not kept; its text says how."""


def expect(found: object, wanted: object, what: str) -> None:
    """Raise `Broken` unless both are equal."""
    if found != wanted:
        raise Broken(f"{what}: expected {wanted}, got {found}")


def outcomes(points: dict[str, Callable[[], float]]) -> Iterator[Outcome]:
    """Try each point; it returns the seconds until the first answer, or raises."""
    for name, point in points.items():
        try:
            yield Outcome(name=name, seconds=point())
        except Broken as broken:
            yield Outcome(name=name, problem=str(broken))
        except (StackbuildError, OSError) as error:
            yield Outcome(name=name, problem=str(error))
