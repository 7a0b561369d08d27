"""An interpreter's keys: what it compiles depends on CPython alone, what it is unpacked to on all that it needs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from builder.digest import Digest
from builder.interpreter import Interpreter, Provider
from builder.lock import Pin

DEBIAN = ("libc6", "libpython3.11-minimal", "libpython3.11-stdlib", "libssl3", "python3.11", "python3.11-minimal")
CONDA = ("libzlib", "openssl", "python", "python_abi")


def interpreter(kind: Provider, names: tuple[str, ...], **moved: str) -> Interpreter:
    pins = tuple(
        Pin(
            kind=kind,
            name=name,
            version="1",
            filename=name,
            digest=Digest.of((name + moved.get(name, "")).encode()),
            size=1,
        )
        for name in names
    )
    return Interpreter(kind=kind, version="3.11.2", executable="/usr/bin/python3.11", prefix="/usr", pins=pins)


@pytest.mark.parametrize(
    ("kind", "names", "own"),
    [("apt", DEBIAN, {name for name in DEBIAN if "python3.11" in name}), ("conda", CONDA, {"python"})],
)
def test_which_packages_decide_what_it_compiles(kind: Provider, names: tuple[str, ...], own: set[str]) -> None:
    found = interpreter(kind, names)
    assert set(found.compiler) == own
    for name in names:
        moved = interpreter(kind, names, **{name: "2"})
        assert (moved.key != found.key) == (name in own), name
        assert moved.root_key != found.root_key, name


def test_where_it_lies_is_part_of_both_keys() -> None:
    found = interpreter("conda", CONDA)
    moved = replace(found, prefix="/opt/conda")
    assert moved.key != found.key
    assert moved.root_key != found.root_key
