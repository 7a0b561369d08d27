"""Locking the whole manifest against bare `uv pip compile`, both from scratch with warm caches.

ours    stackbuild lock               every target's pip lock is gone; apt's stand and are looked at again
peer    uv pip compile …              the same requests one after another, ancestors' pins as constraints, one cache
beside  pip-compile                   one target, the one that it can do: this Python on this machine
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.place import ROOT, Place, settle
from benchmarks.row import Measure, Row, ratio, spread
from builder.kinds.pip import python
from builder.kinds.pip.index import default_url
from builder.kinds.pip.target import uv_platform
from builder.locking import inherited_locks
from builder.manifest.model import Target
from builder.workflow.project import Project, open_project


def whole(place: Place) -> Row:
    _ours(place)  # Fills the store's caches.
    asking = _requests(place)
    _peer(place, asking)
    ours, peers = [], []
    for _ in range(place.pairs):
        ours.append(_ours(place))
        peers.append(_peer(place, asking))
    found = ratio(ours, peers)
    return Row(
        what=f"lock of the whole manifest, {len(asking)} pip targets, warm, against uv pip compile one after another",
        goal="≤ 0.8 ×",
        result=f"{spread(ours)}; uv {spread(peers)}",
        ratio=found,
        kept=found <= 0.8,
        notes=(_pip_compile(place, asking),),
    )


def _ours(place: Place) -> float:
    project = place.project()
    for path in (project / "locks").rglob("*.pip*.txt"):
        path.unlink()
    settle()
    return place.run(place.warm, project, "lock").seconds


def _requests(place: Place) -> dict[Target, list[str]]:
    """For each target its folder's files and what bare uv is told about it."""
    os.environ["STACKBUILD_STORE"] = str(place.warm)
    project = open_project(ROOT)
    return {
        target: _request(place, project, target)
        for target in project.manifest.targets()
        if project.manifest.ask(target, "pip")
    }


def _request(place: Place, project: Project, target: Target) -> list[str]:
    folder = place.folder("request")
    manifest, locks = project.manifest, project.locks
    pins = [pin for _, lock in inherited_locks(manifest, locks, target, "pip") for pin in lock.pins]
    (folder / "request.in").write_text("\n".join(manifest.ask(target, "pip")) + "\n")
    (folder / "parent.txt").write_text("".join(f"{pin.name}=={pin.version}\n" for pin in pins))
    said = [str(folder / "request.in"), "--constraints", str(folder / "parent.txt"), "--generate-hashes"]
    said += ["--python-version", python.find(manifest, locks, target).version]
    said += ["--python-platform", uv_platform(target.platform, python.glibc(manifest, locks, target))]
    if manifest.project.exclude_newer is not None:
        said += ["--exclude-newer", manifest.project.exclude_newer.isoformat()]
    return [*said, "--output-file", str(folder / "answer.txt")]


def _peer(place: Place, asking: dict[Target, list[str]]) -> float:
    environ = {**os.environ, "UV_DEFAULT_INDEX": default_url(os.environ), "UV_CACHE_DIR": str(place.warm / "bare-uv")}
    settle()
    began = time.monotonic()
    for arguments in asking.values():
        Path(arguments[-1]).unlink(missing_ok=True)
        _run([sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-config", *arguments], environ)
    return time.monotonic() - began


def _pip_compile(place: Place, asking: dict[Target, list[str]]) -> str:
    target, arguments = next(iter(asking.items()))
    request, parent = arguments[0], arguments[2]
    command = [sys.executable, "-m", "piptools", "compile", "--quiet", "--generate-hashes", "--strip-extras"]
    began = time.monotonic()
    _run([*command, "--constraint", parent, "--output-file", arguments[-1] + ".piptools", request], dict(os.environ))
    return f"pip-compile of {target.image} alone, for this machine's Python: {time.monotonic() - began:.0f} s"


def _run(command: list[str], environ: dict[str, str]) -> None:
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"bench: {' '.join(command[:6])} failed\n{done.stderr[-3000:]}")


ROWS: dict[str, Measure] = {"lock": whole}
