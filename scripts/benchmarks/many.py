"""Two workers of a Dask scheduler on one machine against a local build there, from sources that are there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.place import Place, link, settle
from benchmarks.row import Measure, Row, ratio, spread
from benchmarks.services import registry

_IMAGES = ("jupyter", "jupyter-scipy")
_PORT = 5977
_WORKERS = 2
_GOAL = 1.15
_PLAIN = ("--no-start", "--json")


def dask(place: Place) -> Row:
    return _against_local(place, " and ".join(_IMAGES), _IMAGES)


def dask_catalogue(place: Place) -> Row:
    return _against_local(place, "the whole catalogue", ())


def _against_local(place: Place, what: str, images: Sequence[str]) -> Row:
    """Args:
    images: what to build; none means all.
    """
    project = place.warmed(*images)
    ours, peers, notes, equal = list[float](), list[float](), list[str](), True
    for _ in range(place.pairs):
        with place.store(built=False) as store:
            done = place.run(store, project, "build", *images, *_PLAIN)
            local = place.digests(store, project, done)
        apart, others = _together(place, images, own_stores=True)
        seconds, digests = _together(place, images)
        ours.append(seconds)
        peers.append(done.seconds)
        odd = sorted({one for one, _ in local.items() ^ digests.items() | local.items() ^ others.items()})
        said = f"OTHER DIGESTS of {', '.join(odd)}" if odd else f"the same digests of {len(local)} images"
        notes.append(f"{said}; with stores of their own, as on two machines: {apart:.2f} s")
        equal = equal and not odd
    found = ratio(ours, peers)
    return Row(
        what=f"{what} with {_WORKERS} Dask workers, against local with the same cores",
        goal=f"≤ {_GOAL} ×, same digests",
        result=f"{spread(ours)} against {spread(peers)}",
        kept=found <= _GOAL and equal,
        ratio=found,
        notes=tuple(notes),
    )


def _together(place: Place, images: Sequence[str], *, own_stores: bool = False) -> tuple[float, Mapping[str, str]]:
    """Seconds of a build by workers, with files in an empty registry, and the digests of what came out."""
    with _cached(place) as (store, project):
        with _workers(place, store, own_stores=own_stores) as address:
            settle()
            words = ("--executor", "dask", "--scheduler", address)
            done = place.run(store, project, "build", *images, *_PLAIN, *words)
        return done.seconds, place.digests(store, project, done)


@contextmanager
def _cached(place: Place) -> Iterator[tuple[Path, Path]]:
    """A store with sources alone, and a project whose cache is an empty registry."""
    folder = place.folder("registry")
    with place.store(built=False) as store, registry(folder, _PORT) as host:
        project = place.project()
        with (project / "stacks.toml").open("a") as manifest:
            manifest.write(f'\n[cache]\nplace = "oci://{host}/bench"\ntrusted = true\n')
        yield store, project
    shutil.rmtree(folder)


@contextmanager
def _workers(place: Place, store: Path, *, own_stores: bool) -> Iterator[str]:
    """The scheduler's address, once all workers are there."""
    stores = store.with_name(f"{store.name}-workers")
    for number in range(1, _WORKERS + 1 if own_stores else 1):
        link(place.warm, stores / str(number), ["sources"])
    said = place.folder("workers") / "said"
    command = [sys.executable, "-P", "-m", "builder.cli", "workers", "--local", str(_WORKERS), "--port", "0"]
    command += ["--own-stores"] if own_stores else []
    with said.open("wb") as output:
        environ = {**os.environ, "STACKBUILD_STORE": str(store)}
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environ)
    try:
        while (text := said.read_text()).count("worker ") < _WORKERS or "--scheduler " not in text:
            if process.poll() is not None:
                raise SystemExit(f"bench: the workers ended\n{text}")
            time.sleep(0.1)
        yield text.split("--scheduler ")[1].split()[0]
    finally:
        process.terminate()
        process.wait(60)
        shutil.rmtree(stores, ignore_errors=True)


ROWS: dict[str, Measure] = {"dask": dask, "dask-catalogue": dask_catalogue}
