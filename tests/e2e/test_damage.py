"""Bits that flip in the store, and builds that are killed: nothing wrong is used, and the same command heals."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from builder.digest import Digest
from tests.e2e.project import Site, share_sources


def _flip(path: Path) -> None:
    """Turn one bit in the middle of a file, under its own name only."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    copy = path.with_suffix(".flipped")
    copy.write_bytes(data)
    copy.rename(path)


def _another(small: Site, folder: Path) -> Site:
    """The small project with a store of its own, everything downloaded, nothing built."""
    site = small.copy(folder / "project", store=folder / "store")
    share_sources(small.store_path, site.store_path)
    return site


def _wait_for_all_of(session: int) -> None:
    """Until nobody of a killed session lives: a process with much memory dies later than it is killed."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        states = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):  # Gone since.
                row = stat.read_text().rpartition(")")[2].split()  # proc_pid_stat(5): state, ppid, pgrp, session
                states += [row[0]] if int(row[3]) == session else []
        if set(states) <= {"Z"}:
            return
        time.sleep(0.05)
    raise AssertionError(f"the killed build still lives: {states}")


@pytest.mark.catalogue  # tests/workflow/test_breaking.py has the steps of a smaller build.
@pytest.mark.parametrize("seconds", [1.0, 2.5, 5.0])
def test_killed_and_run_again(small: Site, tmp_path: Path, seconds: float) -> None:
    """SIGKILL to the command and all it started; the same command then gives what an undisturbed build gives."""
    site = _another(small, tmp_path)
    build = subprocess.Popen(
        site.argv("build"),
        env=site.environ(),
        start_new_session=True,
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    time.sleep(seconds)
    os.killpg(build.pid, signal.SIGKILL)
    build.wait()
    _wait_for_all_of(build.pid)
    for kind in ("images/blobs/sha256", "sources/sha256"):
        if (site.store_path / kind).is_dir():
            for path in (site.store_path / kind).iterdir():
                assert Digest.of_file(path).hex == path.name, "half-written under a final name"
    site.run("build")
    assert site.digests("base", "tool") == small.digests("base", "tool")
    left = [path.name for path in (site.store_path / "tmp").iterdir() if not path.name.endswith(".lock")]
    assert left == []


@pytest.mark.catalogue
def test_killed_before_steps_of_writing(small: Site, tmp_path: Path) -> None:
    """Packages, sandboxes and unpacked layers too: killed at a step of any process, checked, run again, compared."""
    draw = random.Random(5)
    crashing = str(Path(__file__).parents[1] / "crashing")
    counter, killed = tmp_path / "steps", 0

    def build(site: Site, at: int) -> int:
        counter.write_bytes(bytes(8))
        environ = {**site.environ(), "CRASH_STORE": str(site.store_path), "CRASH_STEPS": str(counter)}
        environ |= {"CRASH_AT": str(at), "PYTHONPATH": os.pathsep.join((crashing, os.environ.get("PYTHONPATH", "")))}
        argv = site.argv("build", "--no-start")
        running = subprocess.Popen(
            argv, env=environ, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        code = running.wait(timeout=500)
        if code:
            _wait_for_all_of(running.pid)
        return code

    assert build(_another(small, tmp_path / "all"), 0) == 0
    steps = int.from_bytes(counter.read_bytes(), sys.byteorder)
    assert steps > 200
    for number in range(8):
        site = _another(small, tmp_path / str(number))
        killed += build(site, draw.randrange(1, steps + 1)) == -signal.SIGKILL
        site.run("store", "check")
        site.run("build")
        assert site.digests("base", "tool") == small.digests("base", "tool")
        site.run("store", "check")
        assert [path.name for path in (site.store_path / "tmp").iterdir() if not path.name.endswith(".lock")] == []
    assert killed >= 6
    print(f"{killed} of 8 killed, of {steps} steps")


@pytest.mark.parametrize("kind", ["pip", pytest.param("apt", marks=pytest.mark.catalogue)])
def test_a_flipped_bit_in_a_download(small: Site, tmp_path: Path, kind: str) -> None:
    """The build says so; run again, it fetches the file anew."""
    image = "base" if kind == "apt" else "tool"
    site = small.clone(tmp_path)
    assert site.forget(image, kind)
    action = next(one for one in site.planned(image).actions if one.kind == kind)
    pin = max((pin for role, pin in action.sources.items() if not role.startswith("python:")), key=lambda pin: pin.size)
    path = site.store.source(pin.digest)
    _flip(path)
    said = site.try_("build")
    assert said.code == 1
    assert "has changed" in said.err and pin.digest in said.err and "run the same command again" in said.err
    again = site.try_("build")
    if again.code and "no source has" in again.err:
        share_sources(small.store_path, site.store_path)
        again = site.try_("build")
    assert again.code == 0, again.err
    assert site.digests("base", "tool") == small.digests("base", "tool")


def test_a_flipped_bit_in_a_layer(small: Site, tmp_path: Path) -> None:
    """A layer that is read for output is checked; gone, it is built again."""
    site = small.clone(tmp_path)
    layer = site.layers("base", "apt")[0]
    path = site.store.blob(Digest(layer["digest"]))
    _flip(path)
    said = site.try_("shell", "base", "--", "true")
    assert said.code == 1
    assert "has changed" in said.err and "run the same command again" in said.err
    assert not path.exists()
    site.run("build")
    assert Digest.of_file(path) == layer["digest"]
    assert site.digests("base", "tool") == small.digests("base", "tool")
