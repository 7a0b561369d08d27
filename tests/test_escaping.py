"""Nothing of others' text moves a terminal or orders a workflow's runner; what is sound stays as it is."""

from __future__ import annotations

import pytest

from builder.escaping import escaped


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("größe 1::2", "größe 1::2"),
        ("a\x1b[2J\nb", r"a\x1b[2J\nb"),
        ("\u202etxt.exe", r"\u202etxt.exe"),
        ("\udcff", r"\udcff"),
        ("  ::add-mask::x", r"  \x3a:add-mask::x"),
        ("a ##[error]b", r"a ##\x5berror]b"),
    ],
)
def test_what_would_be_acted_upon_is_escaped(text: str, shown: str) -> None:
    assert escaped(text) == shown
    assert escaped(shown) == shown
