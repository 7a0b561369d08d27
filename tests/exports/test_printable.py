"""Names and numbers for people."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.exports.printable import amount, columns, count, grown, printable, share


@given(st.text(st.characters(codec=None, categories=None)))
def test_whatever_a_name_is_it_can_be_shown(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    shown.encode()
    assert len(shown) <= 10 * 200


def test_names_of_people_stay() -> None:
    assert printable("naïve-包") == "naïve-包"
    assert printable("a\nb\x1b[1m") == r"a\nb\x1b[1m"
    assert printable("x" * 300) == "x" * 199 + "…"


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (999_949_999, "999.9 MB"),
        (999_950_000, "1.00 GB"),
        (-1500, "-1.5 kB"),
    ],
)
def test_amounts(size: int, text: str) -> None:
    assert amount(size) == text


def test_other_numbers() -> None:
    assert (grown(1500), grown(-3), grown(0)) == ("+1.5 kB", "-3 B", "0 B")
    assert (share(1, 8), share(0, 0)) == ("12.5 %", "0.0 %")
    assert (count(1, "layer"), count(2, "layer"), count(2, "body", "bodies")) == ("1 layer", "2 layers", "2 bodies")


def test_columns() -> None:
    assert columns([("a", "1"), ("bbb", "22")], frozenset({1})) == ["a     1", "bbb  22"]
