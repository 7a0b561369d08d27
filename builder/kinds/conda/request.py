"""What a manifest may ask of conda, as text and as a MatchSpec (CEP 29).

    python==3.12.11          python ==3.12.11
    numpy=2.1                numpy 2.1.*
    numpy>=2,<3              numpy >=2,<3
    pytorch==2.12.0=cuda*    pytorch ==2.12.0 cuda*

The written form is pip's where pip has one, so that tools which raise versions need to know one form only. Its
grammar is the pattern in this kind's declaration.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_EXACT = re.compile(r"(==?)([^=,|<>!~]+)(?:=(.+))?")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")


def normalise(items: Iterable[str]) -> tuple[str, ...]:
    """The requests without blanks, sorted, each once."""
    return tuple(sorted({item.replace(" ", "") for item in items}))


def name(text: str) -> str:
    """The package that a request, or a package's own `depends`, is about; "" where it is about none."""
    found = _NAME.match(text)
    return found[0] if found else ""


def spec(item: str) -> str:
    """A normalised request as a MatchSpec, in the strict form of three words."""
    package = name(item)
    rest = item.removeprefix(package)
    exact = _EXACT.fullmatch(rest)
    if exact is None:
        return f"{package} {rest}".strip()
    operator, version, build = exact.groups()
    wanted = f"=={version}" if operator == "==" else version.removesuffix(".*") + ".*"
    return f"{package} {wanted} {build or ''}".strip()
