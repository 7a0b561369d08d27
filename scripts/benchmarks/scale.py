"""Plans of a large family: 1,000 images × 3 variants × 2 platforms, 20 actions each, nothing of it built.

planned     `plan --since HEAD`, nothing changed, from key tables; the first run of each store makes them
explained   `explain` of an image of whose packages one was bumped, beside the plan in the same run
diffed      `diff --since HEAD` of that bump
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.place import Place
from benchmarks.row import Measure, Row, median, spread
from tests import families

_TIMES = 5
_SHAPE = families.Shape()
_BUMPED = 900
"""The image whose package moves: it has no children, so that six targets differ."""


@dataclass(frozen=True, slots=True)
class _Run:
    """A command: seconds of wall clock, bytes of memory at most."""

    seconds: float
    memory: int


def planned(place: Place) -> Row:
    folder, store = _family(place)
    cold = _run(store, folder, "plan")
    taken = [_run(store, folder, "plan", "--since", "HEAD") for _ in range(_TIMES)]
    seconds, memory = [one.seconds for one in taken], max(one.memory for one in taken)
    whole = _run(store, folder, "plan")
    return Row(
        what=f"plan of {_SHAPE.targets():,} targets, nothing changed, from key tables",
        goal="≤ 2 s, ≤ 300 MB",
        result=f"{spread(seconds)}, {memory / 1e6:.0f} MB",
        kept=median(seconds) <= 2 and memory <= 300_000_000,
        notes=(
            f"without any table: {cold.seconds:.1f} s, {cold.memory / 1e6:.0f} MB",
            f"packed into jobs, as if all were to be built: {whole.seconds:.1f} s, {whole.memory / 1e6:.0f} MB",
        ),
    )


def explained(place: Place) -> Row:
    folder, store = _family(place)
    _run(store, folder, "plan")
    families.bump(folder, _SHAPE, _BUMPED)
    plans, reasons = [], []
    for _ in range(_TIMES):
        plans.append(_run(store, folder, "plan", "--since", "HEAD").seconds)
        reasons.append(_run(store, folder, "explain", f"image-{_BUMPED:04}").seconds)
    diff = _run(store, folder, "diff", "--since", "HEAD")
    beyond = median(reasons) - median(plans)
    return Row(
        what="explain after one pip bump in it",
        goal="≤ 1 s beyond the plan",
        result=f"{spread(reasons)}, {beyond:+.2f} s",
        kept=beyond <= 1,
        notes=(
            f"plan --since HEAD of the bump: {spread(plans)}",
            f"diff --since HEAD of the bump: {diff.seconds:.1f} s, {diff.memory / 1e6:.0f} MB",
        ),
    )


def _family(place: Place) -> tuple[Path, Path]:
    """A family in a git repository, and an empty store."""
    folder = place.folder("family")
    families.write(folder, _SHAPE)
    for words in (("init", "--quiet"), ("add", "."), ("commit", "--quiet", "--message", "x")):
        who = ("-c", "user.name=bench", "-c", "user.email=bench@example.org")
        subprocess.run(["git", *who, *words], cwd=folder, check=True)
    return folder, place.folder("store")


def _run(store: Path, folder: Path, *arguments: str) -> _Run:
    command = [sys.executable, "-P", "-m", "builder.cli", "-C", str(folder), *arguments]
    script = (
        "import resource, subprocess, sys, time\n"
        "began = time.monotonic()\n"
        "subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)\n"
        "print(time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
    )
    env = {**os.environ, "STACKBUILD_STORE": str(store)}
    done = subprocess.run(
        [sys.executable, "-P", "-c", script, *command], env=env, capture_output=True, text=True, check=True
    )
    seconds, kilobytes = done.stdout.split()
    return _Run(float(seconds), int(kilobytes) * 1024)


ROWS: dict[str, Measure] = {"plan-scale": planned, "explain-scale": explained}
