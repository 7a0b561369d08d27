"""The first HTTP 200 of jupyter against the same packages installed by pip into the same root.

ours    the layers of the image, composed
peer    the same layers without those of pip, and /opt/venv made in there by `python3 -m venv` and `pip install`
        of the same locked wheels, compiled by pip as usual
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.place import Place, open_target
from benchmarks.row import Measure, Row, median, ratio, spread
from builder.built import Image
from builder.checks import kubeflow
from builder.lock import Pin
from builder.runtimes import Start, volume
from builder.runtimes.native import container
from builder.sandbox import Command, Root, run
from builder.store import Store
from builder.workflow import build
from builder.workflow.project import Project

_PAIRS = 15


class Installed(Image):
    """An image some of whose layers a folder stands for."""

    def __init__(self, store: Store, result: Mapping[str, Any], folder: Path, first: int, past: int) -> None:
        super().__init__(store, result)
        self._instead = (folder, first, past)

    def folders(self) -> tuple[Path, ...]:
        folder, first, past = self._instead
        found = super().folders()
        return (*found[:first], folder, *found[past:])


def first_answer(place: Place) -> Row:
    project = place.warmed("jupyter")
    opened, target = open_target(place.warm, project, "jupyter")
    planned = build.plan(opened, (target,))
    result = build.result(opened, planned, target)
    ours = Image(opened.store, result)
    mine = [
        layer["digest"]
        for action in planned[target].actions
        if action.kind.partition(".")[0] == "pip" and action.layers
        for layer in _result(opened, action)["layers"]
    ]
    spots = [number for number, layer in enumerate(result["layers"]) if layer["digest"] in mine]
    lock = opened.locks.read(target, "pip")
    assert lock is not None
    lowers = ours.folders()[: spots[0]]
    upper = install(place.folder("peer"), opened.store, lowers, lock.pins, "/opt/venv")
    peer = Installed(opened.store, result, upper, spots[0], spots[-1] + 1)
    times: dict[str, list[float]] = {"ours": [], "peer": []}
    for number in range(_PAIRS + 1):  # The first pair warms the page cache.
        order = (("ours", ours), ("peer", peer))
        for name, image in order if number % 2 else reversed(order):
            taken = _start(opened.store, image)
            if number:
                times[name].append(taken)
    found = ratio(times["ours"], times["peer"])
    overall = median(times["ours"]) / median(times["peer"])
    return Row(
        what="first HTTP 200 of jupyter, against pip's own installation in the same root",
        goal="≤ 1.05 ×",
        result=f"{spread(times['ours'])}; pip's {spread(times['peer'])}",
        ratio=found,
        kept=found <= 1.05,
        notes=(f"ratio of the medians: {overall:.3f}",),
    )


def _result(project: Project, action: Any) -> Mapping[str, Any]:
    found = project.store.action(action.plan_key)
    assert found is not None
    result: Mapping[str, Any] = found["result"]
    return result


def install(folder: Path, store: Store, lowers: tuple[Path, ...], pins: tuple[Pin, ...], prefix: str) -> Path:
    """The upper folder after `python3 -m venv` and `pip install` of these wheels in a root of these layers."""
    wheels = folder / "wheels"
    wheels.mkdir()
    lines = []
    for pin in pins:
        shutil.copyfile(store.source(pin.digest), wheels / pin.filename)
        lines.append(f"{pin.name}=={pin.version} --hash={pin.digest}\n")
    (wheels / "requirements.txt").write_text("".join(lines))
    (pip,) = wheels.glob("pip-*.whl")
    upper, mount, log = folder / "upper", folder / "mount", folder / "log"
    upper.mkdir()
    mount.mkdir()
    script = f"""
        set -e
        unset SOURCE_DATE_EPOCH
        python3 -m venv --without-pip {prefix}
        cd /run/wheels
        {prefix}/bin/python {pip.name}/pip install --no-index --find-links . --no-deps --require-hashes \\
            --no-cache-dir --disable-pip-version-check --requirement requirements.txt
    """
    command = Command(argv=("sh", "-c", script), binds=((str(wheels), "run/wheels", True),))
    code = run(Root(workspace=mount, lowers=tuple(reversed(lowers)), upper=upper), command, log=log)
    if code:
        raise SystemExit(f"bench: pip install failed\n{log.read_text()[-3000:]}")
    subprocess.run(["chmod", "-R", "g=u", str(upper / prefix.strip("/"))], check=True)
    return upper


def _start(store: Store, image: Image) -> float:
    with volume(store, image.user()) as home:
        start = Start(env={"NB_PREFIX": kubeflow.PREFIX}, volumes=((home, image.env()["HOME"]),))
        began = time.monotonic()
        with container(image, start) as running:
            running.wait_for(kubeflow.PORT, f"{kubeflow.PREFIX}/api/status", 90)
            return time.monotonic() - began


ROWS: dict[str, Measure] = {"start": first_answer}
