"""A year of bumps: last year's versions of the scientific list, one after another to today's.

    then, now ── lock without pins, with that day's `exclude-newer` ──► versions of both days
    main ── last year's pins and locks, today's `exclude-newer`; built
      └─ for each pin that differs: branch ── bump ── diff, plan ── merge ── build

A bump that has no solution is tried again after the others; then what stands around the list moves; then all that is
left at once, as a maintainer would who finds that some go together only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.e2e.conftest import keep
from tests.e2e.project import Site, share_sources
from tests.e2e.rehearsal import family, texts
from tests.e2e.rehearsal.branches import Bumped, Place, Refused, rehearse
from tests.e2e.rehearsal.broken import Broken, broken
from tests.e2e.rehearsal.neighbours import Side, conflicting, side_by_side

THEN: Final = "2025-11-21T00:00:00Z"
NOW: Final = "2026-11-21T00:00:00Z"

Round = tuple[Bumped | Refused, ...]
Told = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Year:
    """What happened.

    Attributes:
        pins: of the first day. `newest`: what the second has, of names that differ.
        rounds: bumps in the order in which they were tried.
        left: names that are not at the newest version in the end, and why.
        dense: pairs of neighbours in the manifest that conflict where requests stand on lines below each other;
            `parted` where a line is between them.
    """

    pins: Mapping[str, str]
    newest: Mapping[str, str]
    rounds: tuple[Round, ...]
    left: Mapping[str, str]
    side: Side
    broken: tuple[Broken, ...]
    dense: tuple[str, ...]
    parted: tuple[str, ...]

    @property
    def bumped(self) -> tuple[Bumped, ...]:
        return tuple(one for tried in self.rounds for one in tried if isinstance(one, Bumped))

    @property
    def refused(self) -> tuple[Refused, ...]:
        return tuple(one for tried in self.rounds for one in tried if isinstance(one, Refused))


def year(folder: Path, downloads: Path, told: Told) -> Year:
    """Rehearse in an empty folder; what is downloaded comes from, and stays in, a folder like a store."""
    store = folder / "store"
    share_sources(downloads, store)
    names = (*family.scientific(), *family.AROUND)
    pins = _versions(folder / "then", store, THEN, names)
    there = _versions(folder / "now", store, NOW, names)
    newest = {name: there[name] for name in names if there[name] != pins[name]}
    told(f"{len(newest)} of {len(names)} pins differ between {THEN[:10]} and {NOW[:10]}")
    place = _begin(folder, store, pins)
    told("built: " + place.site.run("build", "--no-start").out.strip().replace("\n", ", "))
    listed = {name: newest[name] for name in family.scientific() if name in newest}
    around = {name: newest[name] for name in family.AROUND if name in newest}
    rounds: list[Round] = []
    waiting = _singly(place, listed, rounds, told)
    while waiting:
        before, waiting = waiting, _singly(place, waiting, rounds, told)
        if waiting == before:
            break
    waiting |= _singly(place, around, rounds, told)
    if waiting:
        waiting = _singly(place, waiting, rounds, told)
    if waiting:
        rounds.append((_tried(place, waiting, told),))
        waiting = {} if isinstance(rounds[-1][0], Bumped) else waiting
    (*_, last) = (one for tried in rounds for one in tried)
    keep(place.site, downloads, {path.name for path in (store / "sources/sha256").iterdir()})
    told("branches of one commit")
    return Year(
        pins=pins,
        newest=newest,
        rounds=tuple(rounds),
        left={name: last.said if isinstance(last, Refused) else "" for name in waiting},
        side=side_by_side(place, "start", listed),
        broken=broken(place, pins, newest),
        dense=conflicting(pins, {**pins, **newest}, folder / "pairs", apart=False),
        parted=conflicting(pins, {**pins, **newest}, folder / "pairs", apart=True),
    )


def _versions(folder: Path, store: Path, cutoff: str, names: Sequence[str]) -> dict[str, str]:
    """The newest versions that fit each other and were there at that time."""
    folder.mkdir(parents=True)
    family.project(folder, {}, cutoff=cutoff)
    Site(folder, store).run("lock")
    found: dict[str, set[str]] = {}
    for path in sorted((folder / "locks").glob("*/*.pip.txt")):
        for name, pin in texts.parse(path.read_text("utf-8")).pins.items():
            if path.parent.name in {"jupyter", "science", "more"}:
                found.setdefault(name, set()).add(pin.version)
    assert all(len(found[name]) == 1 for name in names), "variants differ in what they take"
    return {name: max(found[name]) for name in names}


def _begin(folder: Path, store: Path, pins: Mapping[str, str]) -> Place:
    """Last year's locks, which pinning what they have does not change but for the requests."""
    site = Site(folder / "then", store)
    before = {path: texts.parse(path.read_text("utf-8")) for path in site.folder.glob("locks/*/*.txt")}
    (site.folder / "stacks.toml").write_text(family.manifest(pins, cutoff=NOW, apart=True), "utf-8")
    site.run("lock")
    for path, text in before.items():
        assert texts.parse(path.read_text("utf-8")).pins == text.pins, path
    place = Place(site, NOW)
    place.git("init", "--quiet", "--initial-branch", "main")
    place.commit("Last year's pins")
    place.git("tag", "start")
    return place


def _singly(place: Place, wanted: Mapping[str, str], rounds: list[Round], told: Told) -> dict[str, str]:
    """Bump each on a branch of its own; what had no solution."""
    rounds.append(tuple(_tried(place, {name: version}, told) for name, version in wanted.items()))
    refused = {one.name for one in rounds[-1] if isinstance(one, Refused)}
    return {name: version for name, version in wanted.items() if name in refused}


def _tried(place: Place, versions: Mapping[str, str], told: Told) -> Bumped | Refused:
    one = rehearse(place, versions)
    ended = "no solution" if isinstance(one, Refused) else f"merged after {sum(one.seconds.values()):.0f} s"
    told(f"{one.name}: {ended}")
    return one
