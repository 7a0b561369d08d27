"""A year of bumps of the scientific list, on PyPI and in git: ten minutes, and 2 GB of downloads the first time.

To keep what it made, and read the report: `python -m tests.e2e.rehearsal FOLDER`.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.rehearsal import family
from tests.e2e.rehearsal.report import report
from tests.e2e.rehearsal.year import Year, year
from tests.tools import need, need_root

pytestmark = pytest.mark.catalogue


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory: pytest.TempPathFactory, downloads: Path) -> Iterator[Year]:
    need("git")
    need_root()
    folder = tmp_path_factory.mktemp("rehearsal")
    found = year(folder, downloads, print)
    print(report(found))
    yield found
    shutil.rmtree(folder)


def test_it_is_a_year_of_bumps(rehearsed: Year) -> None:
    """None of the siblings is ever asked to move, and most of the list has moved."""
    assert len([name for name in rehearsed.newest if name in family.scientific()]) >= 20
    assert rehearsed.left == {}


def test_every_lock_is_minimal(rehearsed: Year) -> None:
    for one in rehearsed.bumped:
        assert (one.name, one.judged.unforced, one.judged.needless, one.judged.faults) == (one.name, (), (), ())


def test_every_diff_and_plan_is_right(rehearsed: Year) -> None:
    assert {one.name: one.wrong for one in rehearsed.bumped if one.wrong} == {}


def test_no_untouched_image_is_built(rehearsed: Year) -> None:
    assert {one.name: one.foreign for one in rehearsed.bumped if one.foreign} == {}
    assert any(len(one.judged.touched) < len(family.chains()) for one in rehearsed.bumped)


def test_a_bump_without_a_solution_changes_nothing(rehearsed: Year) -> None:
    for one in rehearsed.refused:
        assert one.left == "" and "error: " in one.said and "next: " in one.said


def test_branches_of_one_commit_merge(rehearsed: Year) -> None:
    assert len(rehearsed.side.merges) >= 20
    assert {one.name: one.conflicts for one in rehearsed.side.merges if one.conflicts} == {}
    assert rehearsed.parted == ()


def test_a_merge_that_is_no_solution_is_found_and_mended(rehearsed: Year) -> None:
    going, back = rehearsed.broken
    assert "pytz" in going.checked and "pytz" in str(going.faults) and going.refused == ""
    assert going.mended.moved.keys() == {"pytz"}
    assert "numpy" in back.checked and "numpy" in str(back.faults) and "numba" in back.refused
    for broken in rehearsed.broken:
        assert (broken.mended.unforced, broken.mended.faults) == ((), ())
    for one in rehearsed.side.merges:
        assert one.solution == (not one.faults), (one.name, one.said, one.faults)
        if one.mended:
            assert (one.mended.unforced, one.mended.needless, one.mended.faults) == ((), (), ())
