"""Collisions seen while locking, in wheels that the store has already; and a whole matrix that misses a wheel."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from builder.cells import tables
from builder.errors import StackbuildError
from builder.kinds.pip import collide
from builder.kinds.pip.waivers import Preference
from builder.lock import Pin
from builder.store import Store
from tests.kinds.pip.test_pip_layers import NEW, OLD, SITE, put, wheel
from tests.pip_family import VENV, Family

NCCL = "nvidia/nccl/lib/libnccl.so.2"


@pytest.fixture
def pin(store: Store, tmp_path: Path) -> Callable[..., Pin]:
    def make(name: str, version: str, files: dict[str, bytes]) -> Pin:
        source = wheel(store, tmp_path, name, version, files)
        return Pin(kind="pip", name=name, version=version, filename=source.filename, digest=source.digest, size=1)

    return make


def told(store: Store, own: list[Pin], inherited: list[Pin], *preferred: Preference) -> list[str]:
    return [one.what for one in collide.problems(store, own, inherited, preferred, SITE, "x")]


def test_collisions_are_told_while_locking(store: Store, pin: Callable[..., Pin]) -> None:
    old, new = pin(*OLD), pin(*NEW)
    wanted = f"two packages bring /{SITE}/{NCCL} with different content: nccl-cu12 and nccl-cu13"
    assert told(store, [old, new], []) == [wanted]
    assert told(store, [new], [old]) == [wanted]
    assert told(store, [], [old, new]) == []
    assert told(store, [new], [old], Preference(path=NCCL, package="nccl-cu13")) == []
    assert told(store, [new], [old], Preference(path=f"/{SITE}/{NCCL}", package="nccl-cu13")) == []


def test_wheels_that_are_not_there_or_broken_are_passed_over(
    store: Store, pin: Callable[..., Pin], tmp_path: Path
) -> None:
    old, new = pin(*OLD), pin(*NEW)
    store.source(old.digest).unlink()
    assert told(store, [new], [old]) == []
    (tmp_path / "broken").write_bytes(b"PK\x03\x04 no more")
    broken = Pin(kind="pip", name="b", version="1", filename="b-1-py3-none-any.whl",
                 digest=put(store, tmp_path / "broken"), size=1)  # fmt: skip
    assert told(store, [new, broken], []) == []


def test_a_lock_that_moves_is_looked_at(family: Callable[[str], Family], index: Any, store: Store,
                                       tmp_path: Path) -> None:  # fmt: skip
    """With the very wheels of the index in the store, as an earlier build left them."""
    for name, version, files in (OLD, NEW):
        source = wheel(store, tmp_path, name, version, files)
        index.publish(name, source.filename, store.source(source.digest).read_bytes())
    text = f'[images.lab]\nfrom = "base"\n{VENV}pip = ["nccl-cu12", "nccl-cu13"]\n'
    with pytest.raises(StackbuildError, match="two packages bring"):
        family(text).lock("lab:cpu@linux/amd64")
    settled = f'prefer = [{{ path = "{NCCL}", package = "nccl-cu13", reason = "newer" }}]\n'
    assert family(text + settled).lock("lab:cpu@linux/amd64") == {"nccl-cu12": "1", "nccl-cu13": "1"}


def test_a_wheel_that_some_cells_miss(family: Callable[[str], Family], index: Any) -> None:
    index.wheel("vision", "1", tag="cp311-cp311-manylinux_2_17_x86_64")
    index.wheel("fine", "1")
    text = (
        f'[variants.cuda]\n[images.lab]\nfrom = "base"\nvariants = ["cpu", "cuda"]\n{VENV}pip = ["vision==1", "fine"]\n'
    )
    found = family(text)
    problems = []
    cells = [str(target) for target in found.manifest.targets() if target.image == "lab"]
    for cell in cells:
        try:
            found.lock(cell)
        except StackbuildError as error:
            problems.append(error)
    (table,) = tables(problems, cells)
    assert str(table) == (
        "no wheel for vision==1 in 2 of 4 cells\n"
        "  lab:cpu@linux/arm64   needs CPython 3.11.2, linux/arm64, glibc 2.36; found: wheels for "
        "cp311-cp311-manylinux_2_17_x86_64\n"
        "  lab:cuda@linux/arm64  needs CPython 3.11.2, linux/arm64, glibc 2.36; found: wheels for "
        "cp311-cp311-manylinux_2_17_x86_64\n"
        "  next: take another version of vision, or narrow `platforms` of the image or its variant, "
        "so that linux/arm64 is left out"
    )
    narrowed = family(text + 'platforms = ["linux/amd64"]\n')
    assert [str(one) for one in narrowed.manifest.targets() if one.image == "lab"] == [cells[0], cells[2]]
