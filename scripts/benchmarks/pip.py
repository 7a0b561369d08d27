"""Layers of wheels against the least that checking them takes: inflate each member, digest it twice.

Both run in the same pool of processes, started before. The peer writes nothing; ours writes the layers, compresses
what no wheel holds deflated, syncs and names them. Bytecode is left out of both and reported apart.
"""

from __future__ import annotations

import hashlib
import os
import time
import zipfile
import zlib
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.place import Place, open_target, settle
from benchmarks.row import Measure, Row, ratio, spread
from builder.action import Action
from builder.digest import Digest, key
from builder.executors.local import workshop
from builder.kinds.pip import bytecode, python
from builder.kinds.pip.bytecode import Source
from builder.kinds.pip.part import write_wheels
from builder.kinds.pip.scheme import Environment
from builder.store import Store
from builder.workflow import build
from builder.workflow.project import Project


def layers(place: Place) -> Row:
    project = place.warmed("jupyter-scipy")
    opened, target = open_target(place.warm, project, "jupyter-scipy")
    actions = [one for one in build.plan(opened, (target,))[target].actions if one.kind == "pip"]
    wheels = {action: _wheels(opened, action) for action in actions}
    paths = sorted(
        (opened.store.source(wheel.digest) for found in wheels.values() for wheel in found),
        key=lambda path: -path.stat().st_size,
    )
    jobs = os.cpu_count() or 1
    ours, with_bytecode, peers = [], [], []
    for _ in range(place.pairs):
        for bare, times in ((True, ours), (False, with_bytecode)):
            with place.store(built=True) as copy:
                times.append(_write(Store.open(copy), wheels, opened, jobs, bare=bare))
        peers.append(_check(paths, jobs))
    found = ratio(ours, peers)
    size = sum(path.stat().st_size for path in paths)
    with place.store(built=True) as copy:
        compiling = _compile(Store.open(copy), wheels, jobs)
    return Row(
        what=f"pip layers of jupyter-scipy, {len(paths)} wheels, {size / 1e6:.0f} MB, against inflating and digesting",
        goal="≤ 1.3 ×",
        result=f"{spread(ours)}; peer {spread(peers)}",
        ratio=found,
        kept=found <= 1.3,
        notes=(
            f"with bytecode in the layers, compiled before: {spread(with_bytecode)}",
            f"compiling that bytecode: {compiling:.1f} s",
        ),
    )


def _wheels(project: Project, action: Action) -> list[Source]:
    """The wheels of one layer: pinned ones, and those built from sdists."""
    found = []
    options: Any = action.options
    for name, filename, _ in options["wheels"]:
        role = f"wheel:{name}"
        if role in action.needs:
            built = project.store.action(action.needs[role].plan_key)
            assert built is not None
            found.append(Source(Digest(built["result"]["wheel"]), name, built["result"]["filename"]))
        else:
            found.append(Source(action.sources[role].digest, name, filename))
    return found


def _write(store: Store, wheels: dict[Action, list[Source]], project: Project, jobs: int, *, bare: bool) -> float:
    """Seconds to write all layers; `bare`: without bytecode."""
    empty = store.put_blob(_EMPTY_ZIP)
    os.replace(store.blob(empty), store.source(empty))
    settle()
    with workshop(store, jobs) as make:
        shop = make(Path(os.devnull))
        for future in [shop.heavy(time.sleep, 0.2) for _ in range(jobs)]:
            future.result()
        began = time.monotonic()
        running = []
        for action in sorted(wheels, key=lambda one: -sum(pin.size for pin in one.sources.values())):
            options: Any = action.options
            place = Environment(prefix=options["prefix"], python=options["python"])
            own = wheels[action]
            zips = {one.name: empty if bare else _bytecode(project, action, one, place) for one in own}
            running.append(shop.heavy(write_wheels, store, options["part"], own, place, zips))
        for future in running:
            future.result()
        return time.monotonic() - began


def _compile(store: Store, wheels: dict[Action, list[Source]], jobs: int) -> float:
    """Seconds to compile the bytecode of all wheels, in one sandbox, the interpreter's root unpacked before."""
    actions = list(wheels)
    options: Any = actions[0].options
    place = Environment(prefix=options["prefix"], python=options["python"])
    log = store.path / "logs/bytecode.txt"
    native = python.runnable(store, python.of(actions[0]), jobs, log)
    found = [wheel for own in wheels.values() for wheel in own]
    for wheel in found:
        known = key(bytecode.document(wheel.digest, place, Digest(options["interpreter"])))
        (store.path / "actions" / f"{known.hex}.json").unlink(missing_ok=True)
    settle()
    began = time.monotonic()
    bytecode.compiled(store, found, place, Digest(options["interpreter"]), native, jobs, log)
    return time.monotonic() - began


def _bytecode(project: Project, action: Action, wheel: Source, place: Environment) -> Digest:
    options: Any = action.options
    found = project.store.action(key(bytecode.document(wheel.digest, place, Digest(options["interpreter"]))))
    assert found is not None
    return Digest(found["result"]["bytecode"])


def _check(paths: list[Path], jobs: int) -> float:
    with ProcessPoolExecutor(jobs) as pool:
        list(pool.map(time.sleep, [0.2] * jobs))
        began = time.monotonic()
        list(pool.map(inflate_and_digest, paths))
        return time.monotonic() - began


def inflate_and_digest(path: Path) -> int:
    """Inflate each member of a wheel once; take sha256 of what it holds and of what it was packed as."""
    total = 0
    data = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            start = info.header_offset
            skip = 30 + int.from_bytes(data[start + 26 : start + 28], "little")
            skip += int.from_bytes(data[start + 28 : start + 30], "little")
            packed = memoryview(data)[start + skip : start + skip + info.compress_size]
            content = zlib.decompress(packed, -15, max(info.file_size, 1)) if info.compress_type == 8 else packed
            hashlib.sha256(content).digest()
            hashlib.sha256(packed).digest()
            total += len(content)
    return total


_EMPTY_ZIP = b"PK\x05\x06" + bytes(18)

ROWS: dict[str, Measure] = {"pip": layers}
