"""The apt base against mmdebstrap: the same packages, all there already, the same answers to debconf.

ours    stackbuild build base         configured in the sandbox, compressed layers written
peer    mmdebstrap --variant=essential from a file: repository of the same .deb files, one plain tar written
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.place import Place, open_target, settle
from benchmarks.row import Measure, Row, ratio, spread
from builder.lock import Pin

_HOOKS = "/usr/share/mmdebstrap/hooks/file-mirror-automount"


def base(place: Place) -> Row:
    project = place.warmed("base")
    opened, target = open_target(place.warm, project, "base")
    lock = opened.locks.read(target, "apt")
    assert lock is not None
    repository = repository_of(place.folder("repository"), place.warm, lock.pins)
    asks = opened.manifest.images["base"].asks
    ours, peers = [], []
    for _ in range(place.pairs):
        with place.store(built=False) as store:
            done = place.run(store, project, "build", "--no-start", "base")
            assert any(one.startswith("apt of base") for one in done.performed), done.err
            ours.append(done.seconds)
        peers.append(_mmdebstrap(place, repository, asks))
    found = ratio(ours, peers)
    return Row(
        what=f"apt base, {len(lock.pins)} debs, layers written, against mmdebstrap",
        goal="≤ 0.5 ×",
        result=f"{spread(ours)}; mmdebstrap {spread(peers)}",
        ratio=found,
        kept=found <= 0.5,
    )


def repository_of(folder: Path, store: Path, pins: Sequence[Pin]) -> Path:
    """A flat apt repository (apt-secure(8) aside) of exactly these packages."""
    for pin in pins:
        shutil.copyfile(store / "sources/sha256" / pin.digest.hex, folder / os.path.basename(pin.filename))
    with (folder / "Packages").open("wb") as index:
        subprocess.run(
            ["dpkg-scanpackages", "--multiversion", "."],
            cwd=folder,
            stdout=index,
            stderr=subprocess.DEVNULL,
            check=True,
        )
    return folder


def _mmdebstrap(place: Place, repository: Path, asks: Mapping[str, Any]) -> float:
    folder = place.folder("mmdebstrap")
    answers = "\n".join(asks.get("debconf", ()))
    command = [
        "mmdebstrap",
        "--quiet",
        "--mode=root",
        "--variant=essential",
        "--format=tar",
        f"--hook-dir={_HOOKS}",
        f"--include={','.join(asks['apt'])}",
        f'--essential-hook=echo {shlex.quote(answers)} | chroot "$1" debconf-set-selections',
        "",
        str(folder / "root.tar"),
        f"deb [trusted=yes] file:{repository} ./",
    ]
    settle()
    began = time.monotonic()
    env = {**os.environ, "SOURCE_DATE_EPOCH": "1767225600", "TMPDIR": str(folder)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - began
    if done.returncode:
        raise SystemExit(f"bench: mmdebstrap failed\n{done.stderr[-3000:]}")
    shutil.rmtree(folder)
    return seconds


ROWS: dict[str, Measure] = {"apt": base}
