"""What packages say about their licences, as SPDX licence expressions where that is certain, else in their own words.

Nothing is guessed: "BSD" names several licences, "GPL" too, so they stay words. Only where an ecosystem defines a short
name to mean one licence is that name translated.

Source: SPDX specification 2.3, annex D, "SPDX license expressions".
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

from builder.digest import Digest

_LONGEST = 200
"""Characters of a licence's name; whatever is longer is its text."""
_ONLY_ONE = {
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "isc license": "ISC",
    "mit license": "MIT",
    "mozilla public license 2.0": "MPL-2.0",
    "the mit license": "MIT",
}
"""Names that are no identifiers of SPDX, and that only one licence goes by."""
_REFERENCE = re.compile(r"LicenseRef-[A-Za-z0-9.-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Licence:
    """What one package declares; nothing at all if neither has anything.

    Attributes:
        expression: a valid SPDX licence expression, "" where there is none.
        references: the `LicenseRef-…` in it, each with what the package calls it; sorted.
        names: what it declares in words of its own, if no expression; how several are meant together nobody knows.
    """

    expression: str = ""
    references: tuple[tuple[str, str], ...] = ()
    names: tuple[str, ...] = ()


NONE = Licence()
"""Of a package of which nothing is known."""


def spdx(text: str) -> str:
    """The expression in its canonical form; "" if it is none, or holds what only its author can explain."""
    if len(text) > 10 * _LONGEST or "\n" in text.strip():
        return ""
    if (known := _ONLY_ONE.get(" ".join(text.lower().split()))) is not None:
        return known
    try:
        found = str(canonicalize_license_expression(text.strip()))
    except (InvalidLicenseExpression, ValueError, RecursionError):
        return ""
    return "" if _REFERENCE.search(found) else found


def declared(*texts: str) -> Licence:
    """What such texts declare: one alone may be an expression; how several are meant together, they do not say."""
    if len(texts) == 1 and (found := spdx(texts[0])):
        return Licence(expression=found)
    names = (name(text) for text in texts)
    return Licence(names=tuple(dict.fromkeys(one for one in names if one)))


def name(text: str) -> str:
    """The first line of a text that has something in it, in printable characters, cut where it gets long."""
    line = next((" ".join(line.split()) for line in text.splitlines() if line.strip()), "")
    line = "".join(char for char in line if char.isprintable())
    return line if len(line) <= _LONGEST else line[:_LONGEST] + "…"


def reference(text: str) -> str:
    """A `LicenseRef-…` for what SPDX has no name for; different texts have different ones."""
    slug = re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-")[:60]
    return (
        f"LicenseRef-{slug}" if slug == text else f"LicenseRef-{slug or 'unnamed'}-{Digest.of(text.encode()).hex[:8]}"
    )
