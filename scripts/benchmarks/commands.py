"""Whole commands: a cold build, and commands that find nothing to do."""

from __future__ import annotations

from benchmarks.place import Place
from benchmarks.row import Measure, Row, median, spread

_TIMES = 7


def cold(place: Place) -> Row:
    store = place.folder("cold")
    done = place.run(store, place.project(), "build", "jupyter")
    fetched = [line for line in done.err.splitlines() if line.startswith("fetched") and "in all" in line]
    return Row(
        what="build jupyter, cold: an empty store, everything downloaded",
        goal="< 3 min",
        result=f"{done.seconds:.1f} s",
        kept=done.seconds < 180,
        notes=tuple(fetched),
    )


def unchanged(place: Place) -> Row:
    project = place.warmed()
    taken = [place.run(place.warm, project, "build", "--changed").seconds for _ in range(_TIMES)]
    return Row(
        what="build --changed over all targets, nothing changed",
        goal="≤ 0.4 s",
        result=spread(taken),
        kept=median(taken) <= 0.4,
    )


def check(place: Place) -> Row:
    project = place.project()
    offline = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:9")
    taken = [place.run(place.warm, project, "lock", "--check", env=offline).seconds for _ in range(_TIMES)]
    return Row(
        what="lock --check over all targets, no network",
        goal="≤ 0.5 s",
        result=spread(taken),
        kept=median(taken) <= 0.5,
    )


def verify(place: Place) -> Row:
    project = place.warmed()
    done = place.run(place.warm, project, "verify")
    lines = done.out.splitlines()
    return Row(
        what="verify: built again elsewhere, a year ahead",
        goal="bit-identical",
        result=f"{sum(line.startswith('identical') for line in lines)} identical, {done.seconds:.0f} s",
        kept=bool(lines) and all(line.startswith("identical") for line in lines),
        notes=tuple(lines),
    )


ROWS: dict[str, Measure] = {"cold": cold, "no-op": unchanged, "lock-check": check, "verify": verify}
