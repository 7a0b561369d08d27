"""Kills and power cuts at every step of every write: nothing wrong is left, and the same again comes to the same."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.breaking import WORKLOADS
from tests.fake_uploads import FakeUploads

ROOT = Path(__file__).parents[2]


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory, if there is such a place: syncing to a disk is what would take the time."""
    place = Path("/dev/shm")
    if not os.access(place, os.W_OK) or shutil.disk_usage(place).free < 64 << 20:
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=place, prefix="break-") as folder:
        yield Path(folder)


def broken(workload: str, folder: Path, *options: str) -> list[dict[str, object]]:
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(folder)}
    command = [sys.executable, "-m", "tests.breaking", workload, str(folder / "break"), *options]
    done = subprocess.run(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def sound(rows: list[dict[str, object]]) -> None:
    assert rows
    assert [row for row in rows if row["problems"]] == []
    assert any(row["killed"] for row in rows)


@pytest.mark.parametrize("workload", WORKLOADS)
def test_some_steps(workload: str, memory: Path, registry: FakeUploads) -> None:
    steps = "2" if "build" in workload else "1"
    rows = broken(workload, memory, "--host", registry.host, "--steps", steps, "--cuts", "1", "--seed", "7")
    assert [row for row in rows if row["problems"]] == []
    assert any(row["killed"] for row in rows)


@pytest.mark.catalogue
@pytest.mark.parametrize("workload", WORKLOADS)
def test_every_step(workload: str, memory: Path, registry: FakeUploads) -> None:
    rows = broken(workload, memory, "--host", registry.host, "--moments", "40", "--cuts", "-1")
    assert [row for row in rows if row["problems"]] == []
    print(f"{workload}: {len(rows)} kills, {sum('taken' in row for row in rows)} of them power cuts")
