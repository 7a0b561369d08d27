"""The race: a family's Python content from its lock into a registry, against `docker build` and `docker push`.

ours    stackbuild build + push
best    a Dockerfile written as well as one can: BuildKit, uv, a cache mount, hashes
pip     a Dockerfile with pip

All three have the same base, in the same registry already, and the same locked wheels; cold, nothing of these wheels
is on the machine; for the bump, everything but the one new layer is.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tarfile
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import requests

from benchmarks import services
from benchmarks.place import Place
from benchmarks.row import Measure, Row
from builder.digest import Digest
from builder.fetching import Fetcher
from builder.kinds.pip.index import default_url
from builder.kinds.pip.uv import binary
from builder.lock import Pin
from builder.manifest.model import Target
from builder.net import Client
from builder.platforms import NATIVE
from builder.user_config import ca, environment
from builder.workflow import build
from builder.workflow.project import Project, open_project

_PORT = 5961
_LAB = "jupyter-scipy"
_NUMPY = "2.4.5"
_HEAD = """\
FROM {base}
USER 0
COPY requirements.txt ca.crt uv /tmp/race/
"""
_PIP = """\
RUN export PIP_CERT=/tmp/race/ca.crt PIP_INDEX_URL={index}; \\
    python3 -m venv /opt/venv && \\
    /opt/venv/bin/pip install --quiet --no-cache-dir --require-hashes -r /tmp/race/requirements.txt
"""
_BEST = """\
RUN --mount=type=cache,target=/root/.cache/uv \\
    export SSL_CERT_FILE=/tmp/race/ca.crt UV_DEFAULT_INDEX={index} UV_LINK_MODE=copy; \\
    /tmp/race/uv venv --quiet --python /usr/bin/python3 /opt/venv && \\
    /tmp/race/uv pip install --quiet --python /opt/venv/bin/python --compile-bytecode --require-hashes \\
        -r /tmp/race/requirements.txt
"""


@dataclass(slots=True)
class _Race:
    """What a run of the race found, in seconds and bytes."""

    ours: float
    ours_warm: float
    ours_bump: float
    download: float
    sent: int
    allowed: float
    best: tuple[float, float]
    best_warm: tuple[float, float]
    best_bump: tuple[float, float]
    pip: tuple[float, float]
    loaded: float
    again: float
    mounted: int


_FOUND: list[_Race] = []


def _race(place: Place) -> _Race:
    if not _FOUND:
        _FOUND.append(_measured(place))
    return _FOUND[0]


def _project(place: Place) -> Path:
    """The catalogue's base, with what pip's Dockerfile needs, and its lab without Debian packages."""
    project = place.project()
    path = project / "stacks.toml"
    text = path.read_text()
    text = re.sub(r"(\[images\.base\]\n(?:.*\n)*?apt = \[\n)", r'\g<1>    "python3-venv",\n', text, count=1)
    text = text.replace('apt = ["cm-super", "dvipng", "ffmpeg"]\n', "", 1)
    path.write_text(text)
    place.run(place.warm, project, "lock", "base", "jupyter", _LAB)
    return project


def _measured(place: Place) -> _Race:
    folder = place.folder("race")
    project = _project(place)
    bumped = place.folder("bumped") / "project"
    shutil.copytree(project, bumped, symlinks=True)
    path = bumped / "stacks.toml"
    path.write_text(re.sub(r'"numpy==[^"]*"', f'"numpy=={_NUMPY}"', path.read_text(), count=1))
    place.run(place.warm, bumped, "lock", _LAB)
    with services.registry(folder / "registry", _PORT) as host, services.daemon(folder / "docker") as environ:
        to = f"{host}/ours/{{image}}"
        with place.store(built=False) as store:
            place.run(store, project, "build", "base", "--no-start")
            place.run(store, project, "push", "base", "--to", to, "--tag", "race")
            download = _download(place, project)
            _drop_wheels(store, project)
            ours = place.run(store, project, "build", _LAB, "--no-start").seconds
            ours += place.run(store, project, "push", _LAB, "--to", to, "--tag", "race").seconds
            base = f"{host}/ours/base:race"
            services.run(["docker", "pull", "--quiet", base], environ)  # docker build will have it too.
            loaded = place.run(store, project, "load", _LAB, "--tag", "race", env=environ).seconds
            _fetch(store, bumped)
            ours_bump = place.run(store, bumped, "build", _LAB, "--no-start").seconds
            pushed = place.run(store, bumped, "push", _LAB, "--to", to, "--tag", "race", "--json")
            ours_bump += pushed.seconds
            sent = json.loads(pushed.out)["blobs"]["sent"]
            allowed = _allowed(store, bumped)
            again = place.run(store, bumped, "push", "base", _LAB, "--to", to, "--tag", "race").seconds
            other = ["--to", f"{host}/other/{{image}}", "--tag", "race", "--json"]
            place.run(store, bumped, "push", "base", *other)
            mounted = json.loads(place.run(store, bumped, "push", _LAB, *other).out)["blobs"]["sent"]
            lab = f"{_LAB}@{NATIVE}"
            warm = _warm(place, project, f"{host}/warm/{{image}}")
            requirements = place.run(store, project, "export", "--format", "requirements", lab).out
            requirements_bump = place.run(store, bumped, "export", "--format", "requirements", lab).out
        pip = _docker(folder / "pip", _HEAD + _PIP, base, requirements, f"{host}/pip/lab", environ)
        best = _docker(folder / "best", _HEAD + _BEST, base, requirements, f"{host}/best/lab", environ)
        best_warm = _docker(
            folder / "warm", _HEAD + _BEST + "# again\n", base, requirements, f"{host}/again/lab", environ
        )
        # The new wheel is on the machine already: as for us, it was installed once before.
        _docker(folder / "seen", _HEAD + _BEST, base, requirements_bump, "", environ)
        best_bump = _docker(
            folder / "bump", _HEAD + _BEST + "# bumped\n", base, requirements_bump, f"{host}/best/lab", environ
        )
    return _Race(
        ours, warm, ours_bump, download, sent, allowed, best, best_warm, best_bump, pip, loaded, again, mounted
    )


def _warm(place: Place, project: Path, to: str) -> float:
    """Seconds to build and push the lab in a store that has every wheel and the base, and nothing of the lab's."""
    with place.store(built=False) as store:
        place.run(store, project, "build", "base", "--no-start")
        place.run(store, project, "push", "base", "--to", to, "--tag", "race")
        seconds = place.run(store, project, "build", _LAB, "--no-start").seconds
        return seconds + place.run(store, project, "push", _LAB, "--to", to, "--tag", "race").seconds


def _drop_wheels(store: Path, project: Path) -> None:
    """Take the lab's wheels away from a store."""
    opened = _opened(store, project)
    for pin in _wheels(store, project):
        opened.store.source(pin.digest).unlink(missing_ok=True)


def _opened(store: Path, project: Path) -> Project:
    os.environ["STACKBUILD_STORE"] = str(store)
    return open_project(project)


def _wheels(store: Path, project: Path) -> Sequence[Pin]:
    opened = _opened(store, project)
    target = Target(_LAB, "cpu", NATIVE)
    planned = build.plan(opened, (target,))
    actions = [action for one in planned.values() for action in one.actions]
    return [pin for pin in build.pins_of(actions) if pin.kind == "pip"]


def _fetch(store: Path, project: Path) -> None:
    opened = _opened(store, project)
    Fetcher(opened.manifest, opened.store, Client())(_wheels(store, project))


def _download(place: Place, project: Path) -> float:
    """Seconds that bare downloading of the lab's wheels takes: 16 at a time, hashed."""
    store = place.folder("download")
    opened = _opened(store, project)
    pins = _wheels(store, project)
    began = time.monotonic()
    Fetcher(opened.manifest, opened.store, Client())(pins)
    return time.monotonic() - began


def _allowed(store: Path, project: Path) -> float:
    """Bytes that the goal allows for numpy's bump: wheel, deflated bytecode, 1 kB a file, 200 kB."""
    opened = _opened(store, project)
    target = Target(_LAB, "cpu", NATIVE)
    result = build.result(opened, build.plan(opened, (target,)), target)
    (layer,) = [one for one in result["layers"] if one["name"] == "pip/numpy"]
    (wheel,) = [pin for pin in _wheels(store, project) if pin.name == "numpy"]
    compiled, files = 0, 0
    with tarfile.open(opened.store.blob(Digest(layer["digest"]))) as archive:
        for member in archive:
            files += 1
            if member.name.endswith(".pyc") and (content := archive.extractfile(member)):
                compiled += len(zlib.compress(content.read()))
    return 1.05 * (wheel.size + compiled + 1000 * files) + 200_000


def _docker(
    folder: Path, text: str, base: str, requirements: str, name: str, environ: dict[str, str]
) -> tuple[float, float]:
    """Seconds of `docker build` and `docker push`."""
    folder.mkdir(parents=True)
    (folder / "Dockerfile").write_text(text.format(base=base, index=default_url(environ)))
    (folder / "requirements.txt").write_text(requirements)
    shutil.copy(ca(environment(environ)) or requests.certs.where(), folder / "ca.crt")
    shutil.copy(binary(), folder / "uv")
    tag = name or "seen"
    built = services.run(["docker", "build", "--quiet", "--network=host", "--tag", tag, str(folder)], environ)
    return built, services.run(["docker", "push", "--quiet", tag], environ) if name else 0.0


def cold(place: Place) -> Row:
    found = _race(place)
    best, pip = sum(found.best), sum(found.pip)
    ours = found.ours - found.download
    return Row(
        what=f"{_LAB}'s Python content: from the lock, nothing downloaded, to pushed",
        goal="beyond the bare download ≤ 1/4 of the best Dockerfile's, ≤ 1/8 of pip's; in all ≤ 1/2 of the best",
        result=f"{found.ours:.1f} s, download alone {found.download:.1f} s; best {best:.1f} s; pip {pip:.1f} s",
        ratio=found.ours / best,
        kept=ours <= (best - found.download) / 4 and ours <= (pip - found.download) / 8 and found.ours <= best / 2,
        notes=(
            f"best: build {found.best[0]:.1f} s, push {found.best[1]:.1f} s; "
            f"pip: build {found.pip[0]:.1f} s, push {found.pip[1]:.1f} s",
            f"beyond the download: {ours / (best - found.download):.2f} × the best's, "
            f"{ours / (pip - found.download):.2f} × pip's",
        ),
    )


def warm(place: Place) -> Row:
    found = _race(place)
    best = sum(found.best_warm)
    return Row(
        what=f"{_LAB}'s Python content, everything downloaded, to pushed; the best Dockerfile with its cache mount",
        goal="≤ 1/2 of the best",
        result=f"{found.ours_warm:.1f} s; best {best:.1f} s",
        ratio=found.ours_warm / best,
        kept=found.ours_warm <= best / 2,
        notes=(f"best: build {found.best_warm[0]:.1f} s, push {found.best_warm[1]:.1f} s",),
    )


def bump(place: Place) -> Row:
    found = _race(place)
    best = sum(found.best_bump)
    return Row(
        what="numpy's pin moved, its wheel downloaded, to pushed",
        goal="≤ 1/40 of the best Dockerfile's; bytes ≤ 1.05 × (wheel, bytecode, 1 kB a file) + 200 kB",
        result=f"{found.ours_bump:.2f} s, {found.sent / 1e6:.1f} MB of {found.allowed / 1e6:.1f} MB; best {best:.1f} s",
        ratio=found.ours_bump / best,
        kept=found.ours_bump <= best / 40 and found.sent <= found.allowed,
    )


def load(place: Place) -> Row:
    found = _race(place)
    return Row(
        what=f"load of {_LAB} into a Docker daemon that has its base, against docker build of it there with pip",
        goal="≤ 1/3",
        result=f"{found.loaded:.1f} s; docker build: pip {found.pip[0]:.1f} s, best {found.best[0]:.1f} s",
        ratio=found.loaded / found.pip[0],
        kept=found.loaded <= found.pip[0] / 3,
    )


def mount(place: Place) -> Row:
    found = _race(place)
    return Row(
        what=f"push of base and {_LAB} again; then to another repository",
        goal="≤ 1 s; no layer sent",
        result=f"{found.again:.2f} s; {found.mounted} bytes more in the registry",
        kept=found.again <= 1 and found.mounted < 100_000,
    )


ROWS: dict[str, Measure] = {"race": cold, "race-warm": warm, "race-bump": bump, "load": load, "mount": mount}
