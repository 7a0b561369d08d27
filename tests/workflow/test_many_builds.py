"""Eight builds and a collector at once on one store: no error, nothing lost, and nothing done twice."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

from builder.action import Action
from builder.digest import Digest
from builder.errors import InUse
from builder.inspecting import inspect
from builder.store import Store
from builder.workflow import build, gc, lock
from builder.workflow.gc import Wish
from builder.workflow.roots import Patience
from tests.image_family import Site

ROOT = Path(__file__).parents[2]
_MANY = 8
_ROUNDS = 3
_BUILDER = """
import sys
from pathlib import Path
from tests.workflow.test_many_builds import rebuilt
if __name__ == "__main__":
    rebuilt(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
"""


class Noted:
    """A watcher that writes down what was really done."""

    def __init__(self, place: Path) -> None:
        self._place = place

    def started(self, action: Action) -> None: ...

    def finished(self, action: Action, how: str) -> None:
        if how == "done":
            with self._place.open("a") as stream:  # Appended in one go.
                stream.write(f"{action.plan_key} {action.name}\n")


def rebuilt(folder: Path, place: Path, number: int) -> None:
    """What each of the builders does: a first build of what all have, then edits of its own; nothing may be missing."""
    site = Site.__new__(Site)
    site.folder, site.store = folder, Store.open(place)
    for turn in range(_ROUNDS):
        if turn:
            site.overlay("full", f"{number} {turn}")
        project = site.project()
        targets = tuple(project.manifest.targets())
        with site.store.leased():
            lock.lock(project, targets, lock.Wish(), lambda _: None)
            planned = build.plan(project, targets)
            build.build(project, targets, jobs=1, watcher=Noted(place.with_name("done")), planned=planned)
            assert build.stale(project, planned, targets) == (), "something went"
            for digest in site.store.images.tags().values():
                assert site.store.blob(Digest(digest)).exists()


def test_eight_builds_and_a_collector_at_once(tmp_path: Path) -> None:
    """Every other time the collector is one that evicts, down to what was built last."""
    sites = [Site(tmp_path / str(number), "127.0.0.1:1") for number in range(_MANY)]
    store = Store.open(tmp_path / "store")
    program = tmp_path / "builds.py"
    program.write_text(_BUILDER)
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    builds = [
        subprocess.Popen([sys.executable, str(program), str(one.folder), str(store.path), str(number)], env=environ)
        for number, one in enumerate(sites)
    ]
    collected = 0
    while any(one.poll() is None for one in builds):
        patience = Patience(now=datetime.now(UTC) + timedelta(days=2))
        try:
            gc.collect(store, None, Wish(patience=patience, wait=60, limit=1 if collected % 2 else None))
            collected += 1
        except InUse:
            continue
    assert [one.wait() for one in builds] == [0] * _MANY
    done = Counter((tmp_path / "done").read_text().splitlines())
    assert not {name: count for name, count in done.items() if count > 1}
    names = Counter(line.partition(" ")[2] for line in done)
    assert {name.split(" of ")[-1].partition(":")[0] for name in names} >= {"root", "image lab", "image full"}
    edited = 1 + _MANY * (_ROUNDS - 1)
    assert {name: count for name, count in names.items() if count != (edited if " full:" in name else 1)} == {}
    assert collected > 0, "it came to its turn while builds went on"
    assert inspect(store, 2).findings == ()


def test_the_collector_comes_to_its_turn_though_leases_never_end(store: Store) -> None:
    """Those who use a store overlapped for ever, and `gc --wait` never began; whoever begins now waits a while."""
    stop = threading.Event()
    used = Counter[int]()

    def use(number: int) -> None:
        mine = Store(store.path)
        while not stop.is_set():
            mine.hold()
            with mine.leased():  # A second lease of one who has the store: he is not asked to wait for himself.
                used[number] += 1
                stop.wait(0.02 * (number + 1))
            mine.release()

    threads = [threading.Thread(target=use, args=(number,)) for number in range(8)]
    for one in threads:
        one.start()
    try:
        with Store(store.path).alone(4):
            before = dict(used)
            stop.wait(0.3)
            assert used == before, "nobody uses it meanwhile"
        while used.total() < sum(before.values()) + 8:
            stop.wait(0.01)
    finally:
        stop.set()
        for one in threads:
            one.join()
    assert not (store.path / "tmp/door.lock").exists()
