"""Bumps that were all made on branches of one commit, merged in turn: what conflicts, and what is no solution.

Every two that follow each other are neighbours in the alphabet, so in locks too.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

from tests.e2e.rehearsal import family, texts
from tests.e2e.rehearsal.branches import Judged, Place, bump, faults, judge

_BRANCH: Final = "neighbours"


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """One branch merged with all before it.

    Attributes:
        conflicts: locks in which git found one; our side of them was taken.
        solution: what `lock --check` says.
        faults: what the texts say; nothing where they are a solution.
        mended: where it is none, what `lock` moved.
    """

    name: str
    conflicts: tuple[str, ...]
    solution: bool
    said: str
    faults: tuple[str, ...]
    mended: Judged | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """All of them; `refused` are bumps that were no solution where all began."""

    merges: tuple[Merged, ...]
    refused: tuple[str, ...]
    final: texts.Locks


def side_by_side(place: Place, start: str, versions: Mapping[str, str]) -> Side:
    """Bump each name on a branch of its own that begins at `start`, then merge all of them, one after another."""
    made, refused = [], []
    for name, version in sorted(versions.items()):
        said = bump(place, f"one/{name}", {name: version}, start=start)
        if said.code:
            place.git("reset", "--quiet", "--hard")
            refused.append(name)
        else:
            made.append(name)
    place.git("switch", "--quiet", "--create", _BRANCH, start)
    merges = tuple(_merge(place, name) for name in made)
    final = texts.at(place.folder, _BRANCH)
    place.git("switch", "--quiet", "main")
    return Side(merges=merges, refused=tuple(refused), final=final)


def _merge(place: Place, name: str) -> Merged:
    conflicts: tuple[str, ...] = ()
    try:
        place.git("merge", "--quiet", "--no-ff", "--no-edit", f"one/{name}")
    except subprocess.CalledProcessError:
        conflicts = tuple(place.git("diff", "--name-only", "--diff-filter=U").split())
        assert conflicts and all(path.startswith("locks/") for path in conflicts), conflicts
        place.git("checkout", "--ours", "--", *conflicts)
        place.commit(f"Merge one/{name}")
    checked = place.site.try_("lock", "--check")
    merged = texts.at(place.folder, _BRANCH)
    mended = None
    if checked.code:
        place.site.run("lock")
        place.commit(f"Relock after one/{name}")
        mended = judge(place, merged, texts.at(place.folder, _BRANCH), frozenset())
        assert place.site.run("lock", "--check").code == 0
    return Merged(
        name=name,
        conflicts=conflicts,
        solution=checked.code == 0,
        said=checked.err,
        faults=faults(merged),
        mended=mended,
    )


def conflicting(pins: Mapping[str, str], versions: Mapping[str, str], folder: Path, *, apart: bool) -> tuple[str, ...]:
    """Pairs of neighbours in one list of the manifest that git does not merge, as `NAME NAME`."""
    pairs = [pair for names in _lists(pins) for pair in pairwise(names)]
    return tuple(" ".join(pair) for pair in pairs if not _merges(pins, versions, pair, folder, apart))


def _lists(pins: Mapping[str, str]) -> list[list[str]]:
    """Names that are requests of one list, as the manifest has them below each other."""
    text = family.manifest(pins, cutoff="2026-01-01", apart=False)
    found: list[list[str]] = [[]]
    for line in text.splitlines():
        if line.startswith('    "'):
            found[-1].append(line.strip(' ",').partition("==")[0])
        elif found[-1]:
            found.append([])
    return [names for names in found if all(name in pins for name in names)]


def _merges(
    pins: Mapping[str, str], versions: Mapping[str, str], pair: Sequence[str], folder: Path, apart: bool
) -> bool:
    folder.mkdir(exist_ok=True)
    sides = {"base": {}, "a": {pair[0]: versions[pair[0]] + ".1"}, "b": {pair[1]: versions[pair[1]] + ".1"}}
    for name, moved in sides.items():
        (folder / name).write_text(family.manifest({**pins, **moved}, cutoff="2026-01-01", apart=apart))
    done = subprocess.run(["git", "merge-file", "-p", "a", "base", "b"], cwd=folder, capture_output=True, check=False)
    return done.returncode == 0
