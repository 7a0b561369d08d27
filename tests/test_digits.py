"""What `int` takes, and nothing else."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.digits import digits
from builder.kinds.pip.page import read_page
from tests.fuzz.answers import PAGE


@given(st.one_of(st.text(max_size=30), st.text("0123456789", max_size=30), st.characters(categories=["Nd", "No"])))
def test_what_is_taken_is_a_number(text: str) -> None:
    assert digits(text) == (0 < len(text) <= 18 and set(text) <= set("0123456789"))
    if digits(text):
        assert int(text) >= 0


@pytest.mark.parametrize("size", ["²", "9" * 5000, "-1", "1e3"])
def test_a_page_may_say_any_size(size: str) -> None:
    """It was a traceback."""
    text = json.dumps(PAGE).replace('"size": 100', f'"size": {json.dumps(size)}')
    (found,) = read_page(text, "https://x/simple/a/", "a")
    assert found.size is None
