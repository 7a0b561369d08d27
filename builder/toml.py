"""TOML of strangers: tomli, behind a look at what makes it slow.

A key of n parts (`a.b.c`) takes it the square of n, and whoever makes paths of them (`lines.py`) as much memory.
Lists and tables in each other it refuses by itself, with a RecursionError, as it does keys of more than 1000 parts.
"""

from __future__ import annotations

import re
from typing import Any

import tomli

TOMLDecodeError = tomli.TOMLDecodeError

_PARTS = 32
_WORD = r"""(?:"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[A-Za-z0-9_-]+)"""
_DEEP = re.compile(rf"(?<![A-Za-z0-9_-])(?:{_WORD}[ \t]*\.[ \t]*){{{_PARTS}}}")
"""In a text between quotes too, where 32 words with a dot after each are nothing that anybody writes."""


def loads(text: str) -> dict[str, Any]:
    """The document.

    Raises:
        TOMLDecodeError: it is none, or has a key of more than 32 parts.
        RecursionError: it is nested too deeply.
        ValueError: a number has more digits than Python reads.
    """
    if deep := _DEEP.search(text):
        raise TOMLDecodeError(f"a key of more than {_PARTS} parts", text, deep.start())
    return tomli.loads(text)
