"""Errors of single cells, and the table that they become."""

from __future__ import annotations

import pickle

from builder.cells import CellError, tables
from builder.errors import StackbuildError


def cell(subject: str, cell: str, *, got: str = "wheels for cp311-cp311-manylinux_2_17_x86_64") -> CellError:
    needs = f"CPython 3.11.2, {cell.partition('@')[2]}"
    return CellError(subject, cell=cell, needs=needs, got=got, where="its line", next_step="take another version")


CELLS = [
    f"{image}:{variant}@linux/{cpu}" for image in "ab" for variant in ("cpu", "cuda") for cpu in ("amd64", "arm64")
]


def test_one_cell_is_told_as_it_is() -> None:
    one = cell("no wheel for x==1", "a:cpu@linux/arm64")
    assert tables([one], CELLS) == [one]
    assert str(one) == (
        "no wheel for x==1: a:cpu@linux/arm64\n"
        "  its line\n"
        "  expected: CPython 3.11.2, linux/arm64\n"
        "  got: wheels for cp311-cp311-manylinux_2_17_x86_64\n"
        "  next: take another version"
    )
    assert str(pickle.loads(pickle.dumps(one))) == str(one)


def test_several_cells_are_a_table() -> None:
    other = StackbuildError("something else")
    found = tables(
        [
            cell("no wheel for x==1", "a:cpu@linux/arm64"),
            other,
            cell("no wheel for x==1", "a:cuda@linux/arm64", got="a source archive only"),
            cell("no wheel for y==1", "b:cpu@linux/arm64"),
        ],
        CELLS,
    )
    assert [one.what for one in found] == [
        "no wheel for x==1 in 2 of 8 cells", "something else", "no wheel for y==1: b:cpu@linux/arm64",
    ]  # fmt: skip
    assert str(found[0]) == (
        "no wheel for x==1 in 2 of 8 cells\n"
        "  a:cpu@linux/arm64   needs CPython 3.11.2, linux/arm64; found: wheels for "
        "cp311-cp311-manylinux_2_17_x86_64\n"
        "  a:cuda@linux/arm64  needs CPython 3.11.2, linux/arm64; found: a source archive only\n"
        "  next: take another version"
    )
