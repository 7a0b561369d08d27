"""JSON that another machine sent, field by field: what is not of the type that it must have is refused.

Whoever may send it may have this machine run anything (docs/distributed.md, Security). So this is no wall against him:
it keeps what is damaged, of another version or of somebody else from being performed, stored and signed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn

from builder.errors import HostileInput

LARGEST = 64 << 20
"""Characters of an order or an outcome; those of the catalogue have at most some hundred thousand."""
_MOST = 1 << 62
_MISFITS = (KeyError, TypeError, ValueError, AttributeError, RecursionError)


@contextmanager
def judged(what: str) -> Iterator[None]:
    """Whatever a field that does not fit raises is told as one error: this is not `what`."""
    try:
        yield
    except _MISFITS as error:
        raise HostileInput(f"not {what} ({type(error).__name__})") from None


def parsed(text: str) -> dict[str, Any]:
    """A table of JSON. Raises: TypeError, ValueError, RecursionError: it is none, or too long."""
    if not isinstance(text, str) or len(text) > LARGEST:
        raise ValueError("too long")
    return table(json.loads(text, parse_constant=_no_number))


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"no number: {name}")


def table(found: object) -> dict[str, Any]:
    """Raises: TypeError: it is no table."""
    if not isinstance(found, dict):
        raise TypeError("no table")
    return found


def string(found: object) -> str:
    """Raises: TypeError: it is no string; ValueError: it has control characters, or bytes that are no text."""
    if not isinstance(found, str):
        raise TypeError("no string")
    if any(ord(one) < 32 or ord(one) == 127 for one in found):
        raise ValueError("a control character")
    found.encode()
    return found


def whole(found: object) -> int:
    """A number of bytes and the like. Raises: TypeError: it is no whole number; ValueError: it is out of reason."""
    if isinstance(found, bool) or not isinstance(found, int):
        raise TypeError("no whole number")
    if not 0 <= found < _MOST:
        raise ValueError("no size")
    return found


def flag(found: object) -> bool:
    """Raises: TypeError: it is neither true nor false."""
    if not isinstance(found, bool):
        raise TypeError("no flag")
    return found


def rows(found: object) -> Iterator[Mapping[str, Any]]:
    """The tables of a list. Raises: TypeError: it is none."""
    if not isinstance(found, list):
        raise TypeError("no list")
    return (table(one) for one in found)
