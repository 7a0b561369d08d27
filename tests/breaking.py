"""Break off what writes into a store, at every step of every write; run it again; compare with an undisturbed run.

    python -m tests.breaking WORKLOAD FOLDER [--host HOST] [--steps N] [--moments N] [--cuts N] [--seed N]

    template ──copy──▶ work ──run, killed before step N──▶ checked ──run again──▶ compared with the reference

Steps are counted by `tests/crashing`. One line of JSON comes out for each time. With `--cuts`, it is killed at steps as
well, and what a power cut may take of what was not synced is taken then. It forks, so that nothing is imported twice;
hence a program of its own.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import multiprocessing.forkserver
import os
import random
import runpy
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from builder.inspecting import inspect
from builder.store import Store
from builder.workflow import build, gc, releases, store_check
from builder.workflow.roots import Patience
from tests.image_family import Site
from tests.power_cut import cut

CRASHING = Path(__file__).parent / "crashing"
_SUBREAPER = 36
_TURN = "BREAKING_TURN"
Run = Callable[[Site], object]


@dataclass(frozen=True)
class Workload:
    """What is broken off: on what it begins, and what it does.

    Attributes:
        files: whether the store has the same files in the end. A push brings layers of a base that the registry lacks;
            after the first attempt it may lack fewer.
    """

    begin: Run
    run: Run
    files: bool = True


def _build(site: Site) -> None:
    Store.open(site.store.path)
    site.build()


def _nothing(site: Site) -> None:
    shutil.rmtree(site.store.path)


def _built(site: Site) -> None:
    site.build()
    site.overlay("full", "another text")


def _garbage(site: Site) -> None:
    _built(site)
    site.build()
    root = site.store.path / "roots/interpreter-old"
    (root / "etc").mkdir(parents=True)
    (root / "etc/file").write_text("x")


def _collect(site: Site) -> None:
    later = datetime.now(UTC) + timedelta(days=99)
    gc.collect(site.store, None, gc.Wish(patience=Patience(now=later)))


def _push(site: Site) -> None:
    """To another place each time, as the registry would have everything the second time."""
    host = site.project().manifest.project.repository.partition("/")[0]
    site.push("full", repository=f"{host}/turn{os.environ.get(_TURN, '0')}/{{image}}")


def _evict(site: Site) -> None:
    gc.collect(site.store, None, gc.Wish(patience=Patience(now=datetime.now(UTC)), limit=1))


def _harmed(site: Site) -> None:
    """A layer, an action and an unpacked root are damaged, the index is gone."""
    site.build()
    store = site.store.path
    layer = max((store / "images/blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
    for path in (layer, min((store / "actions").iterdir())):
        path.write_bytes(path.read_bytes()[:-1])
    (store / "roots/interpreter-old").mkdir()
    (store / "images/index.json").unlink()


def _repair(site: Site) -> None:
    store_check.check(site.store, store_check.Wish(jobs=1, repair=True))
    site.build()


WORKLOADS: Mapping[str, Workload] = {
    "first build": Workload(_nothing, _build),
    "second build": Workload(_built, _build),
    "gc": Workload(_garbage, _collect),
    "eviction": Workload(_garbage, _evict),
    "repair": Workload(_harmed, _repair),
    "push": Workload(Site.build, _push, files=False),
}


def state(site: Site) -> dict[str, Any]:
    """What must be the same however it came about: names, what they mean, and every file but those without a name."""
    project = site.project()
    targets = tuple(project.manifest.targets())
    pushed = [(one.digest, one.tags) for one in releases.recorded(project)]
    folders = ("logs", "took", "tmp")  # What a step said, and how long it took, is lost if that was not written then.
    files = (path.relative_to(site.store.path) for path in site.store.path.rglob("*"))
    return {
        "tags": site.store.images.tags(),
        "stale": [action.name for action in build.stale(project, build.plan(project, targets), targets)],
        "pushed": sorted(set(pushed)),
        "files": sorted(str(path) for path in files if path.parts[0] not in folders),
    }


def attached(folder: Path) -> Site:
    """The site that lies in a folder."""
    site = Site.__new__(Site)
    site.folder, site.store = folder / "project", Store(folder / "store")
    return site


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("workload", choices=WORKLOADS)
    options.add_argument("folder", type=Path)
    options.add_argument("--host", default="127.0.0.1:1", help="a registry, for what pushes")
    options.add_argument("--steps", type=int, default=-1, help="so many steps, drawn; all of them without it")
    options.add_argument("--cuts", type=int, default=0, help="so many steps, drawn, with a power cut; -1 for all")
    options.add_argument("--moments", type=int, default=0, help="so many moments, drawn")
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args()
    ctypes.CDLL(None).prctl(_SUBREAPER, 1)  # So that it is told when the children of a child end (prctl(2)).
    bench, load, draw = Bench(given.folder), WORKLOADS[given.workload], random.Random(given.seed)
    steps, seconds = bench.prepare(load, given.host)

    def drawn(count: int) -> list[int]:
        points = range(1, steps + 1)
        return sorted(draw.sample(points, min(count, steps))) if count >= 0 else [*points]

    def told(point: float, power: random.Random | None) -> None:
        print(json.dumps({"point": point, "of": steps, **bench.broken(load, point, power)}), flush=True)

    for step in drawn(given.steps):
        told(step, None)
    for _ in range(given.moments):
        told(-draw.uniform(0, seconds), None)
    for step in drawn(given.cuts):
        told(step, draw)


class Bench:
    """Where it happens."""

    def __init__(self, folder: Path) -> None:
        self._work, self._template, self._log = folder / "work", folder / "template", folder / "log"
        self._count = folder / "steps"
        self._reference: Mapping[str, Any] = {}
        self._sound = True
        self._work.mkdir(parents=True)
        os.environ["PYTHONPATH"] = f"{CRASHING}{os.pathsep}{os.environ['PYTHONPATH']}"
        os.environ["CRASH_STEPS"] = str(self._count)

    def prepare(self, load: Workload, host: str) -> tuple[int, float]:
        """Make the template and the reference: how many steps the workload has, and seconds that it takes."""
        assert self._forked(lambda: load.begin(Site(self._work, host))) == 0
        shutil.copytree(self._work, self._template, symlinks=True)
        self._sound = not self._damage()
        begun = time.monotonic()
        assert self._forked(lambda: load.run(attached(self._work)), at=0) == 0
        taken = time.monotonic() - begun
        self._reference = self._told()
        return int.from_bytes(self._count.read_bytes(), sys.byteorder), taken

    def broken(self, load: Workload, point: float, power: random.Random | None) -> dict[str, Any]:
        """Break it off before a step, or after so many seconds if the point is negative; what came of it."""
        shutil.rmtree(self._work)
        shutil.copytree(self._template, self._work, symlinks=True)
        shutil.rmtree(self._log, ignore_errors=True)
        self._log.mkdir()
        self._count.write_bytes(bytes(8))
        os.environ["CRASH_LOG"] = str(self._log) if power else ""
        os.environ[_TURN] = str(int(os.environ.get(_TURN, "0")) + 1)
        at, seconds = (0, -point) if point < 0 else (int(point), 0.0)
        code = self._forked(lambda: load.run(attached(self._work)), at=at, seconds=seconds)
        row: dict[str, Any] = {"killed": code == -signal.SIGKILL}
        if power:
            row["taken"] = cut(self._work / "store", self._template / "store", self._log, power)
        row["problems"] = self._problems(load, powerless=power is not None)
        return row

    def _problems(self, load: Workload, *, powerless: bool) -> list[str]:
        """What is wrong after a kill, and after the same was run again."""
        damage = self._damage() if self._sound else []
        if powerless:  # Results whose files were taken are made again, and no image that has a name may lack any.
            damage = [line for line in damage if not line.startswith("incomplete actions/")]
        found = [f"after the kill: {line}" for line in damage]
        if self._forked(lambda: load.run(attached(self._work))):
            return [*found, "cannot be run again"]
        if powerless and self._forked(lambda: _build(attached(self._work))):
            return [*found, "cannot be built"]  # What was taken of what nothing needs is not made again.
        again = self._told()
        for what in self._reference if load.files and not powerless else ("tags", "stale", "pushed"):
            if again[what] != self._reference[what]:
                found.append(f"{what} differ: {_difference(self._reference[what], again[what])}")
        attached(self._work).store.sweep()
        found += [f"left: {path.name}" for path in (self._work / "store/tmp").iterdir()]
        return found + [f"in the end: {line}" for line in self._damage() if not powerless]

    def _damage(self) -> list[str]:
        """What `store check` finds; a store that was killed before it was one has nothing to be wrong."""
        if not (self._work / "store/version").exists():
            return []
        return [f"{one.kind} {one.path}: {one.what}" for one in inspect(Store(self._work / "store"), 1).findings]

    def _told(self) -> dict[str, Any]:
        """The state, as another process sees it: this one has no processes of its own, and must stay so."""
        place = self._work.with_name("state.json")
        assert self._forked(lambda: place.write_text(json.dumps(state(attached(self._work))))) == 0
        found: dict[str, Any] = json.loads(place.read_text())
        return found

    def _forked(self, act: Callable[[], object], *, at: int | None = None, seconds: float = 0) -> int:
        """Do something in a process group of its own, all of which has ended then; its exit code, -9 if it was killed.

        Args:
            at: the step before which it is killed, 0 for none; without it, its steps are not counted.
            seconds: after which it is killed, 0 for never.
        """
        os.environ["CRASH_STORE"] = str(self._work / "store") if at is not None else ""
        os.environ["CRASH_AT"] = str(at or 0)
        child = os.fork()
        if not child:
            os.setpgid(0, 0)
            _do(act, hooked=at is not None)
        with suppress(OSError):
            os.setpgid(child, child)
        if seconds:
            time.sleep(seconds)
            os.killpg(child, signal.SIGKILL)  # It is there, as nobody has waited for it yet.
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code:
            with suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
        with suppress(ChildProcessError):
            while True:  # Its pool dies a moment later, and holds locks until then.
                os.waitpid(-child, 0)
        return code


def _do(act: Callable[[], object], *, hooked: bool) -> None:
    """Do something in a child, and end it."""
    code = 1
    try:
        if hooked:
            runpy.run_path(str(CRASHING / "sitecustomize.py"))
        act()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        multiprocessing.forkserver._forkserver._stop()  # type: ignore[attr-defined]
        os._exit(code)


def _difference(one: Any, other: Any) -> str:
    if isinstance(one, list):
        return str(sorted(set(map(str, one)) ^ set(map(str, other))))
    return f"{one} / {other}"


if __name__ == "__main__":
    main()
