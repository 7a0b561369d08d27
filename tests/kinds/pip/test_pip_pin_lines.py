"""The lines of one pin: read as they were written, with whatever name its file has in the index."""

from __future__ import annotations

import pytest

from builder.digest import Digest
from builder.kinds.pip.pin_lines import dumps, loads
from builder.lock import Pin


def pin(name: str, version: str, filename: str) -> Pin:
    return Pin(
        kind="pip",
        name=name,
        version=version,
        filename=filename,
        digest=Digest.of(b""),
        size=1,
        source="pytorch-cpu",
        via=("b", "stacks.toml"),
        fields=(("requires", "c>=1"), ("requires", 'd; python_version < "4"')),
    )


def read(lines: list[str], *, named: bool = True) -> tuple[Pin | None, list[tuple[int, str]]]:
    """The pin, and what is wrong with it."""
    problems = []

    def wrong(number: int, what: str, **more: str) -> None:
        problems.append((number, what))

    return loads(1, lines, wrong, named=named), problems


@pytest.mark.parametrize("named", [True, False])
def test_lines_and_pin_are_the_same(named: bool) -> None:
    found = pin("a-b", "1.0+cpu", "a_b-1.0+cpu-py3-none-any.whl")
    assert read(list(dumps(found, set(), named=named)), named=named) == (found, [])


def test_who_is_known_to_ask_is_not_written() -> None:
    found = pin("a-b", "1.0", "a_b-1.0-py3-none-any.whl")
    lines = list(dumps(found, {"stacks.toml"}, named=True))
    assert [line for line in lines if " via " in line] == ["    # via b"]


@pytest.mark.parametrize(
    ("name", "version", "filename"),
    [
        ("ruamel-yaml", "0.18rc1", "ruamel.yaml-0.18.rc1.tar.gz"),
        ("a-b", "1.0+cpu", "A_B-1.0_cpu-1-py3-none-any.whl"),
        ("a-b", "1.0", "a-b-1.0.zip"),
    ],
)
def test_names_of_files_may_be_spelled_otherwise(name: str, version: str, filename: str) -> None:
    found = pin(name, version, filename)
    assert read(list(dumps(found, set(), named=True))) == (found, [])


@pytest.mark.parametrize(
    "filename", ["b-1.0-py3-none-any.whl", "a-2.0-py3-none-any.whl", "a-1.0.whl", "a-1.0.exe", "a-x.tar.gz"]
)
def test_file_of_another_pin(filename: str) -> None:
    _, problems = read(list(dumps(pin("a", "1.0", filename), set(), named=True)))
    assert problems == [(4, "the file of a==1.0 is another's")]
