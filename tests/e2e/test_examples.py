"""The examples are what they say: they parse, are locked, and the small one builds without a network."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from builder.manifest.model import Target
from builder.manifest.read import read
from builder.platforms import NATIVE
from builder.store import Store
from builder.workflow import build
from builder.workflow.project import open_project

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = sorted(path.parent for path in (ROOT / "examples").glob("*/stacks.toml"))
NOWHERE = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:9")


def stackbuild(folder: Path, store: Path, *arguments: str) -> str:
    command = [sys.executable, "-P", "-m", "builder.cli", "-C", str(folder), *arguments]
    env = {**os.environ, **NOWHERE, "STACKBUILD_STORE": str(store)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def variants(tmp_path: Path) -> Path:
    return Path(shutil.copytree(ROOT / "examples/variants", tmp_path / "variants", symlinks=True))


@pytest.mark.parametrize("folder", EXAMPLES, ids=lambda path: path.name)
def test_it_is_a_manifest(folder: Path) -> None:
    assert list(read(folder / "stacks.toml").targets())


def test_what_the_small_one_is_made_of_is_what_its_script_writes(variants: Path) -> None:
    def state() -> dict[str, bytes]:
        files = (path for path in sorted(variants.rglob("*")) if path.is_file())
        return {path.relative_to(variants).as_posix(): path.read_bytes() for path in files}

    before = state()
    for name in ("base", "channel", "wheels"):
        shutil.rmtree(variants / name)
    subprocess.run([sys.executable, variants / "make.py"], check=True)
    assert state() == before


def test_the_small_one_is_locked(variants: Path, tmp_path: Path) -> None:
    kept = {path: path.read_bytes() for path in (variants / "locks").rglob("*") if path.is_file()}
    assert len(kept) == 12
    stackbuild(variants, tmp_path / "store", "lock", "--check")
    shutil.rmtree(variants / "locks")
    stackbuild(variants, tmp_path / "store", "lock")
    assert {path: path.read_bytes() for path in (variants / "locks").rglob("*") if path.is_file()} == kept


def test_the_small_one_builds_without_a_network(
    variants: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "store"
    stackbuild(variants, store, "build")
    monkeypatch.setenv("STACKBUILD_STORE", str(store))
    project = open_project(variants)
    targets = [Target("notebook", name, NATIVE) for name in ("cpu", "cuda", "gaudi") if name == "cpu" or _amd64()]
    planned = build.plan(project, targets)
    files = {one.variant: _files(project.store, build.result(project, planned, one)["layers"]) for one in targets}
    site = "opt/conda/lib/python3.12/site-packages"
    wanted = {"cpu": ("cpu_0", "cpu"), "cuda": ("cuda130_1", "cuda"), "gaudi": ("cpu_0", "hpu")}
    for variant, found in files.items():
        math, device = wanted[variant]
        subdir = "linux-64" if _amd64() else "linux-aarch64"
        assert found["opt/conda/lib/matmul.txt"].decode() == f"{math} for {subdir}, below /opt/conda\n"
        assert found[f"{site}/tensors.py"].decode() == f'DEVICE = "{device}"\n'
        assert f"opt/conda/conda-meta/matmul-2.1-{math}.json" in found
        assert found["opt/conda/share/theme/theme.json"]
    shared = [{layer["digest"] for layer in build.result(project, planned, one)["layers"]} for one in targets]
    assert set.intersection(*shared), "theme and greeting are laid once for all variants"


def _amd64() -> bool:
    return NATIVE == "linux/amd64"


def _files(store: Store, layers: list[dict[str, str]]) -> dict[str, bytes]:
    """Path → content over all layers that lie in the store, later ones over earlier."""
    found: dict[str, bytes] = {}
    for layer in layers:
        blob = store.path / "images/blobs" / layer["digest"].replace(":", "/")
        if not blob.exists():
            continue  # The base's own, which nothing had to read.
        with tarfile.open(fileobj=io.BytesIO(gzip.decompress(blob.read_bytes()))) as archive:
            for member in archive:
                content = archive.extractfile(member)
                if content is not None:
                    found[member.name] = content.read()
    return found
