"""Two workers of a Dask scheduler against one machine with the same cores, both from sources that are there."""

from __future__ import annotations

import os
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
_OTHER = "OTHER DIGESTS"


def dask(place: Place) -> Row:
    return _against_local(place, " and ".join(_IMAGES), _IMAGES)


def dask_catalogue(place: Place) -> Row:
    return _against_local(place, "the whole catalogue", ())


def _against_local(place: Place, what: str, images: Sequence[str]) -> Row:
    """Args:
    images: what to build; none means all.
    """
    project = place.warmed(*images)
    ours, peers, notes = list[float](), list[float](), list[str]()
    for _ in range(place.pairs):
        with place.store(built=False) as store:
            done = place.run(store, project, "build", *images, "--no-start", "--json")
            peers.append(done.seconds)
            local = place.digests(store, project, done)
        seconds, digests = _together(place, images)
        ours.append(seconds)
        notes.append(f"the same digests of {len(local)} images" if digests == local else _OTHER)
    found = ratio(ours, peers)
    return Row(
        what=f"{what} with {_WORKERS} Dask workers, against local with the same cores",
        goal=f"≤ {_GOAL} ×, same digests",
        result=f"{spread(ours)} against {spread(peers)}",
        kept=found <= _GOAL and _OTHER not in notes,
        ratio=found,
        notes=tuple(notes),
    )


def _together(place: Place, images: Sequence[str]) -> tuple[float, Mapping[str, str]]:
    """Seconds of a build by workers, with files in an empty registry, and the digests of what came out."""
    with place.store(built=False) as store, registry(place.folder("registry"), _PORT) as host:
        project = place.project()
        with (project / "stacks.toml").open("a") as manifest:
            manifest.write(f'\n[cache]\nplace = "oci://{host}/bench"\ntrusted = true\n')
        with _workers(place, store) as address:
            settle()
            words = ("--no-start", "--json", "--executor", "dask", "--scheduler", address)
            done = place.run(store, project, "build", *images, *words)
        return done.seconds, place.digests(store, project, done)


@contextmanager
def _workers(place: Place, store: Path) -> Iterator[str]:
    """The scheduler's address, once all workers are there; each has the sources in a store of its own."""
    for number in range(1, _WORKERS + 1):
        link(place.warm, store.with_name(f"{store.name}-workers") / str(number), ["sources"])
    said = place.folder("workers") / "said"
    command = [sys.executable, "-P", "-m", "builder.cli", "workers", "--local", str(_WORKERS), "--port", "0"]
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


ROWS: dict[str, Measure] = {"dask": dask, "dask-catalogue": dask_catalogue}
