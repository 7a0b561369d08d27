"""Debian's copyright files: those for machines are read, prose is left alone."""

from __future__ import annotations

import pytest

from builder.kinds.apt.copyright import licence
from builder.licences import NONE, spdx

HEAD = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: x\n"


def text(*lines: str) -> str:
    return HEAD + "".join(f"\nFiles: *\nCopyright: somebody\nLicense: {line}\n text\n" for line in lines)


@pytest.mark.parametrize(
    ("lines", "expression"),
    [
        (["GPL-2+"], "GPL-2.0-or-later"),
        (["GPL-3"], "GPL-3.0-only"),
        (["LGPL-2.1+", "LGPL-2.1+", "Expat"], "LGPL-2.1-or-later AND MIT"),
        (["GPL-2+ or Expat"], "GPL-2.0-or-later OR MIT"),
        (["GPL-2+ or Expat", "ISC"], "(GPL-2.0-or-later OR MIT) AND ISC"),
        (["GPL-2+ or Expat and ISC"], "GPL-2.0-or-later OR MIT AND ISC"),
        (["GPL-2+ or Expat, and ISC"], "(GPL-2.0-or-later OR MIT) AND ISC"),
        (["bsd-3-clause"], "BSD-3-Clause"),
    ],
)
def test_short_names_become_expressions(lines: list[str], expression: str) -> None:
    found = licence(text(*lines))
    assert (found.expression, found.references) == (expression, ())
    assert spdx(found.expression), "SPDX's own grammar takes it"


@pytest.mark.parametrize("name", ["MIT", "BSD", "Artistic", "GPL-7", "GPL-2+ with OpenSSL exception", "public-domain"])
def test_a_name_of_several_meanings_stays_one(name: str) -> None:
    found = licence(text(name))
    assert found.expression.startswith("LicenseRef-")
    assert found.references == ((found.expression, name),)


@pytest.mark.parametrize("said", ["", "This is free software; see /usr/share/common-licenses/GPL-2.\n", HEAD])
def test_prose_says_nothing(said: str) -> None:
    assert licence(said) == NONE


def test_a_file_without_an_end_is_left_alone() -> None:
    assert licence(text(*(f"own-{number}" for number in range(1000)))) == NONE
