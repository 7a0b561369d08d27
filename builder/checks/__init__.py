"""Contracts: what an image must do once it runs. One file each, with a function `check(subject)`.

    with subject.volume() as home, subject.container(Start(volumes=((home, "/home/jovyan"),))) as running:
        expect(running.ask(8888, "/api")[0], 200, "without a login")

A contract yields outcomes; it never stops at the first that fails. Which runtime starts its containers it does not
know (`builder.runtimes`). Files whose names begin with `_` are parts of one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from builder.built import Image, User
from builder.errors import StackbuildError
from builder.manifest.model import Target
from builder.runtimes import Starter, volume


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One point of a contract: kept when `problem` is empty."""

    name: str
    problem: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """A Python, and what the locks of a lineage say is installed for it.

    Attributes:
        prefix: where it lies: of a virtual environment, of conda.
        pins: version by name (PEP 503), whether pip, conda or a base image brings it.
        wheels: the names among them whose files come from wheels.
        asked: the names among them that the manifest asks for, sorted.
    """

    prefix: str
    pins: Mapping[str, str]
    wheels: frozenset[str] = frozenset()
    asked: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Promised:
    """What manifest and locks say is in a target, inherited and its own.

    Attributes:
        conda: by prefix: name → version and build, parted by a blank.
        apt: name → version.
        held: (prefix, name) of the Python packages that a base from a registry has, wherever they lie.
        foreign: whether the family begins with such a base.
        cuda: whether the variant is one for NVIDIA's hardware.
        kernelspecs: name → HOST/PATH of the image that it names by digest.
    """

    target: Target
    environments: tuple[Environment, ...] = ()
    conda: Mapping[str, Mapping[str, str]]
    apt: Mapping[str, str]
    held: frozenset[tuple[str, str]] = frozenset()
    foreign: bool = False
    cuda: bool = False
    kernelspecs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The image under test.

    Attributes:
        container: starts it; what a contract does with it is `builder.runtimes.Container`.
        env: the image's variables.
        promised: reads manifest and locks, which not every contract needs.
    """

    image: Image
    container: Starter
    env: dict[str, str]
    promised: Callable[[], Promised]

    def volume(self, user: User | None = None, *, mode: int = 0o2775) -> AbstractContextManager[Path]:
        """A fresh volume for one of its containers, of the image's own user or another."""
        return volume(self.image.store, user or self.image.user(), mode=mode)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What came out for one target on one runtime.

    Attributes:
        target: or the reference of an image that no manifest speaks of.
        outcomes: contract and outcome, in the order in which they were tried.
        built: whether it could be tried at all.
    """

    target: Target | str
    runtime: str
    outcomes: tuple[tuple[str, Outcome], ...] = ()
    built: bool = True


_MOST = 8
"""What a problem names; the rest is counted."""


class Broken(Exception):
    """A point of the contract is not kept; its text says how."""


def expect(found: object, wanted: object, what: str) -> None:
    """Raise `Broken` unless both are equal."""
    if found != wanted:
        raise Broken(f"{what}: expected {wanted}, got {found}")


def kept(wrong: Iterable[str]) -> float:
    """Raise `Broken` with what is wrong, the first of it by name."""
    found = list(wrong)
    if found:
        rest = [f"and {len(found) - _MOST} more"] if len(found) > _MOST else []
        raise Broken("\n".join([*found[:_MOST], *rest]))
    return 0.0


def outcomes(points: dict[str, Callable[[], float]]) -> Iterator[Outcome]:
    """Try each point; it returns the seconds until the first answer, or raises."""
    for name, point in points.items():
        try:
            yield Outcome(name=name, seconds=point())
        except Broken as broken:
            yield Outcome(name=name, problem=str(broken))
        except (StackbuildError, OSError) as error:
            yield Outcome(name=name, problem=str(error))
