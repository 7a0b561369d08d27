"""Which members of an archive are taken: `include` and `exclude`.

`*` and `?` stand for what is in one part of a path, `**` for any number of whole parts. A pattern that is about a
folder is about all that is below it.
"""

from __future__ import annotations

import re
from functools import cache


def matches(pattern: str, path: str) -> bool:
    """Whether the pattern is about the path, or about a folder above it."""
    return _compiled(pattern).match(path) is not None


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    text = ""
    for part in pattern.strip("/").split("/"):
        text += "(?:[^/]+/)*" if part == "**" else _part(part) + "/"
    # The end of the path, or a slash and what is below; after a last `**`, anything.
    return re.compile(text + ".+" if text.endswith("*") else text.removesuffix("/") + r"(?:/|\Z)", re.DOTALL)


def _part(part: str) -> str:
    wild = {"*": "[^/]*", "?": "[^/]"}
    return "".join(wild.get(one) or re.escape(one) for one in part)
