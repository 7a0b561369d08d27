"""Whose a file is that two packages bring: `prefer` of the manifest, applied to layers.

The layer of the package that goes without it leaves the file out, though its RECORD names it. Which packages have a
file is only known once they are there, so a declaration is part of the options of every layer with a package that it
may concern: the winner's, so that the image knows why its file hides an ancestor's, and the loser's; where it names no
loser, all others'.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from builder.errors import StackbuildError
from builder.kinds.pip.scheme import Environment, cache_path
from builder.kinds.pip.waivers import preferences
from builder.manifest.model import Manifest, Target
from builder.tree import Entry


class Preferred(NamedTuple):
    """A path of the image, the package whose file it is, and who goes without it; "" for all others."""

    path: str
    package: str
    over: str


def plan(manifest: Manifest, target: Target, place: Environment, known: Collection[str]) -> tuple[Preferred, ...]:
    """What holds in a target, by path; a declaration whose winner is not there would leave nobody's file.

    Args:
        known: the names of the packages that the image has, its own and inherited, conda's under their PyPI names.
    """
    return tuple(
        Preferred(one.path[1:] if one.path.startswith("/") else f"{place.site}/{one.path}", one.package, one.over)
        for one in preferences(manifest, target)
        if one.package in known
    )


def concerned(found: Iterable[Preferred], names: Sequence[str]) -> list[Preferred]:
    """Those that a layer with these packages must know."""
    return [one for one in found if any(one.package == name or one.over in {"", name} for name in names)]


def settle(entries: Iterable[Entry], name: str, found: Iterable[Preferred], place: Environment) -> tuple[Entry, ...]:
    """The entries of a package without those that are another's, and without their bytecode.

    Raises:
        StackbuildError: the package, named as the one to go without, has no such file.
    """
    entries = tuple(entries)
    gone: set[str] = set()
    for one in found:
        if one.package == name or one.over not in {"", name}:
            continue
        if one.over and all(entry.path != one.path for entry in entries):
            raise StackbuildError(
                f"prefer is about a file that is not there: /{one.path}",
                where=f"prefer {one.package}'s over {name}'s",
                expected=f"a file of {name}",
                next_step="correct the path, or remove the declaration",
            )
        gone |= {one.path, cache_path(one.path, place.python)} if one.path.endswith(".py") else {one.path}
    return tuple(entry for entry in entries if entry.path not in gone) if gone else entries
