"""Print the table; exit with 1 if a goal was missed."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from benchmarks import apt, bumps, commands, conda, lazy, lock, many, pip, race, scale, start, traffic
from benchmarks.place import Place
from benchmarks.row import Measure, Row

MODULES = (commands, lock, apt, conda, pip, bumps, start, race, lazy, traffic, many, scale)
ROWS: dict[str, Measure] = {name: measure for module in MODULES for name, measure in module.ROWS.items()}
ORDER = (
    *("cold", "no-op", "lock-check", "lock", "apt", "conda", "pip", "numpy-bump", "base-bump", "start", "verify"),
    *("race", "race-warm", "race-bump", "mount", "load", "security-bump", "push-again", "warm-cache", "lazy", "dask"),
    *("plan-scale", "explain-scale"),
)
LONG = ("dask-catalogue",)
"""Rows of an hour and 80 GB of disk: only by name."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument(
        "rows", nargs="*", metavar="ROW", help=f"of {', '.join(ORDER)}, which are taken for none; {', '.join(LONG)}"
    )
    parser.add_argument("--pairs", type=int, default=3, help="pairs of runs where there is a peer (default: 3)")
    parser.add_argument("--store", type=Path, default=_default(), help="kept between runs (default: %(default)s)")
    parser.add_argument("--list", action="store_true", help="print the names of the rows")
    options = parser.parse_args()
    if options.list:
        print("\n".join((*ORDER, *LONG)))
        return
    if unknown := set(options.rows) - {*ORDER, *LONG}:
        parser.error(f"no such row: {', '.join(sorted(unknown))}; there are {', '.join((*ORDER, *LONG))}")
    options.store.mkdir(parents=True, exist_ok=True)
    found: list[Row] = []
    with tempfile.TemporaryDirectory(dir=options.store.parent, prefix="stackbuild-bench-") as scratch:
        place = Place(scratch=Path(scratch), warm=options.store, pairs=options.pairs)
        for name in [one for one in (*ORDER, *LONG) if one in (options.rows or ORDER)]:
            print(f"measuring {name} …", file=sys.stderr, flush=True)
            row = ROWS[name](place)
            found.append(row)
            for note in row.notes:
                print(f"    {note}", file=sys.stderr, flush=True)
    print("| what | goal | result | ratio | |\n|---|---|---|---|---|")
    for row in found:
        shown = "" if row.ratio is None else f"{row.ratio:.2f} ×"
        print(f"| {row.what} | {row.goal} | {row.result} | {shown} | {'kept' if row.kept else 'MISSED'} |")
    sys.exit(any(not row.kept for row in found))


def _default() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "stackbuild-bench" / "store"


if __name__ == "__main__":
    main()
