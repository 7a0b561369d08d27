"""What becomes an expression of SPDX, and what stays as it was said."""

from __future__ import annotations

import pytest

from builder.licences import Licence, declared, name, reference, spdx


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        ("mit", "MIT"),
        ("(MIT OR Apache-2.0)", "(MIT OR Apache-2.0)"),
        ("gpl-2.0-or-later with Classpath-exception-2.0", "GPL-2.0-or-later WITH Classpath-exception-2.0"),
        ("Apache License, Version 2.0", "Apache-2.0"),
    ],
)
def test_what_is_certain_becomes_an_expression(text: str, expression: str) -> None:
    assert spdx(text) == expression
    assert declared(text) == Licence(expression=expression)


@pytest.mark.parametrize(
    "text", ["BSD", "GPL", "Dual License", "LicenseRef-Mine", "MIT/X11", "", "MIT\nApache-2.0", "(" * 5000, "MIT AND"]
)
def test_nothing_is_guessed(text: str) -> None:
    assert spdx(text) == ""


def test_words_are_kept_each_once_and_no_longer_than_a_name() -> None:
    assert declared("MIT", "Apache-2.0") == Licence(names=("MIT", "Apache-2.0")), "both, or either: nobody says"
    assert declared("BSD", "BSD", "", "Dual License").names == ("BSD", "Dual License")
    assert name("\n  Copyright\t2020\x1b[31m \nmore") == "Copyright 2020[31m"
    assert len(name("x" * 5000)) == 201


def test_a_reference_is_an_identifier_and_tells_texts_apart() -> None:
    assert reference("public-domain") == "LicenseRef-public-domain"
    assert reference("MIT/X11") != reference("MIT X11")
    assert reference("MIT/X11").startswith("LicenseRef-MIT-X11-")
    assert reference("©").startswith("LicenseRef-unnamed-")
