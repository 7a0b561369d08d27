"""What a run of `lock` keeps of a target's lock, and what it moves. Real uv, tiny wheels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from builder.errors import StackbuildError
from tests.pip_family import VENV, Family, told

New = Callable[[str], Family]
LAB = "lab:cpu@linux/amd64"


def test_only_pins_whose_file_is_gone_move(family: New, index: Any) -> None:
    """A vanished pin stayed where it was, whatever --refresh-missing said."""
    index.wheel("one", "1.0")
    index.wheel("two", "1.0")
    found = family(f'[images.lab]\nfrom = "base"\n{VENV}pip = ["one", "two"]\n')
    assert found.lock(LAB) == {"one": "1.0", "two": "1.0"}
    del index.projects["one"]["one-1.0-py3-none-any.whl"]
    for name in ("one", "two"):
        index.wheel(name, "1.1")
    assert found.lock(LAB, gone=["one"]) == {"one": "1.1", "two": "1.0"}


def test_constraints_of_the_manifest(family: New, index: Any) -> None:
    index.wheel("one", "1.0")
    index.wheel("one", "2.0")
    text = f'[images.lab]\nfrom = "base"\n{VENV}pip = ["one"]\n'
    limited = text + 'constraints = ["one<2", "absent>3"]\n'
    found = family(limited)
    assert found.lock(LAB) == {"one": "1.0"}
    assert found.check(LAB) == []
    assert told(found.changed(text).check(LAB)) == ["lock is stale: locks/lab/linux-amd64.pip.txt"] * 2
    with pytest.raises(StackbuildError, match="bad value"):
        found.changed(text + 'constraints = ["one"]\n')
