"""`stackbuild store check` as a user types it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.image_family import Site

ROOT = Path(__file__).parents[2]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(tmp_path, "127.0.0.1:1")
    site.build()
    return site


def command(site: Site, *words: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "STACKBUILD_STORE": str(site.store.path), "PYTHONPATH": str(ROOT)}
    argv = [sys.executable, "-P", "-m", "builder.cli", *words]
    return subprocess.run(argv, env=environ, cwd=site.folder, capture_output=True, text=True, check=False)


def test_damage_is_told_repaired_and_built_anew(site: Site) -> None:
    sound = command(site, "store", "check")
    assert (sound.returncode, sound.stdout) == (0, "")
    assert "nothing is wrong" in sound.stderr
    layer = max((site.store.path / "images/blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
    name = layer.relative_to(site.store.path).as_posix()
    layer.write_bytes(layer.read_bytes()[:-1])
    (site.store.path / "mine.txt").write_text("")
    found = command(site, "store", "check")
    assert found.returncode == 1
    assert f"damaged: {name}: its bytes have the digest sha256:" in found.stdout
    assert "unknown: mine.txt: nothing of stackbuild's" in found.stdout
    assert "stackbuild store check --repair" in found.stderr
    would = command(site, "store", "check", "--repair", "--dry-run")
    assert would.returncode == 1 and f"would go: {name}" in would.stdout and layer.exists()
    rows = json.loads(command(site, "store", "check", "--json").stdout)
    assert {"kind": "damaged", "path": name, "removed": False}.items() <= rows["findings"][0].items()
    done = command(site, "store", "check", "--repair")
    assert done.returncode == 0 and f"removed: {name}" in done.stdout and not layer.exists()
    assert (site.store.path / "mine.txt").exists()
    assert command(site, "build", "--no-start").returncode == 0
    assert command(site, "store", "check").returncode == 0


@pytest.mark.parametrize("options", [("--dry-run",), ("--wait", "3")])
def test_options_of_repair(site: Site, options: tuple[str, ...]) -> None:
    done = command(site, "store", "check", *options)
    assert done.returncode == 2
    assert "go with --repair" in done.stderr
