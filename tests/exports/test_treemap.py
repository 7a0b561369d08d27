"""Treemaps: areas in proportion, nothing outside, nothing over something else, nothing that a name can do."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.exports.treemap import Box, Node, squarified, svg

SIZES = st.lists(st.integers(1, 10**9), min_size=1, max_size=40).map(lambda sizes: sorted(sizes, reverse=True))


@given(SIZES, st.floats(10, 2000), st.floats(10, 2000))
def test_areas_are_in_proportion_and_fill_the_box(sizes: list[int], width: float, height: float) -> None:
    box = Box(5, 7, width, height)
    found = squarified(sizes, box)
    for size, one in zip(sizes, found, strict=True):
        assert one.area == pytest.approx(box.area * size / sum(sizes), rel=1e-6, abs=1e-6)
        assert one.x >= box.x - 1e-6 and one.x + one.width <= box.x + box.width + 1e-6
        assert one.y >= box.y - 1e-6 and one.y + one.height <= box.y + box.height + 1e-6


@given(SIZES)
def test_rectangles_do_not_overlap(sizes: list[int]) -> None:
    found = squarified(sizes, Box(0, 0, 600, 400))
    for number, one in enumerate(found):
        for other in found[number + 1 :]:
            across = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
            down = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
            assert min(across, down) < 1e-6


def test_the_example_of_the_paper() -> None:
    """Bruls, Huizing and van Wijk, figure 4: 6, 6, 4, 3, 2, 2, 1 in a box of 6 by 4."""
    found = squarified([6, 6, 4, 3, 2, 2, 1], Box(0, 0, 6, 4))
    places = [tuple(round(side, 2) for side in (one.x, one.y, one.width, one.height)) for one in found]
    assert places[:4] == [(0, 0, 3, 2), (0, 2, 3, 2), (3, 0, 1.71, 2.33), (4.71, 0, 1.29, 2.33)]


def test_even_sizes_become_squares() -> None:
    assert all(one.width == pytest.approx(one.height) for one in squarified([1, 1, 1, 1], Box(0, 0, 100, 100)))


def test_nothing_to_draw() -> None:
    assert squarified([], Box(0, 0, 1, 1)) == []
    assert "<rect" not in svg(Node(label="x", title="x", size=0), 10, 10)


def tree(*parts: Node) -> Node:
    return Node(label="all", title="all of it", size=sum(one.size for one in parts), parts=parts)


def test_small_parts_are_drawn_as_one() -> None:
    tiny = [Node(label=f"t{number}", title=f"t{number}", size=19) for number in range(50)]
    text = svg(tree(Node(label="big", title="big", size=10**6), *tiny), 1000, 1000)
    assert "50 smaller ones together" in text and "t49" not in text


def test_a_package_is_a_link_that_says_what_it_is() -> None:
    text = svg(tree(Node(label="numpy", title="numpy: 7 MB", size=7, anchor="p0")), 300, 200)
    assert '<a href="#p0" aria-label="numpy: 7 MB">' in text
    assert "<title>numpy: 7 MB</title>" in text and ">numpy</text>" in text


def test_names_do_nothing() -> None:
    hostile = '</title></svg><script>alert(1)</script>"\x1b[31m\ud800\u202e'
    text = svg(tree(Node(label=hostile, title=hostile, size=7, anchor="p0")), 900, 500)
    root = ET.fromstring(text.encode())
    assert {one.tag for one in root.iter()} == {"svg", "a", "rect", "title", "text"}
    assert "\x1b" not in text and "\u202e" not in text


def test_a_long_name_is_cut_to_its_rectangle() -> None:
    text = svg(tree(Node(label="a" * 100, title="t", size=7)), 100, 50)
    assert f">{'a' * 13}…</text>" in text
