"""The TOML of this kind's locks: written in one way only, so that equal locks are equal bytes.

Source: TOML 1.0.0.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from builder import toml
from builder.errors import HostileInput, StackbuildError

FORMAT = 1
_BARE = re.compile(r"[A-Za-z0-9_-]+")


def text(value: str) -> str:
    """A basic string; JSON's escapes are TOML's, but for DEL, which TOML wants escaped."""
    if not isinstance(value, str):  # A reader checks what it read by writing it again.
        raise TypeError(f"not a text: {value!r}")
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def key(name: str) -> str:
    """A key, quoted where it must be."""
    return name if _BARE.fullmatch(name) else text(name)


def inline(value: Any) -> str:
    """A value on one line: text, number, truth value, list or table."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return text(value)
    if isinstance(value, Mapping):
        rows = ", ".join(f"{key(name)} = {inline(one)}" for name, one in value.items())
        return f"{{ {rows} }}" if rows else "{}"
    return "[" + ", ".join(inline(one) for one in value) + "]"


def rows(name: str, values: Sequence[Any]) -> list[str]:
    """A list with an item a line, so that a difference shows which moved; nothing where it is empty."""
    return [f"{key(name)} = [", *(f"    {inline(one)}," for one in values), "]"] if values else []


def read(data: str, path: Path | str) -> dict[str, Any]:
    """The document.

    Raises:
        HostileInput: it is no TOML.
        StackbuildError: it has another format.
    """
    try:
        found = toml.loads(data)
    except (ValueError, RecursionError) as error:
        raise damaged(path, str(error)) from None
    if found.get("format") != FORMAT:
        raise StackbuildError(
            "lock of another format",
            where=str(path),
            expected=f"format = {FORMAT}",
            got=f"format = {found.get('format')!r}"[:100],
            next_step="use the stackbuild that wrote it, or make it anew: stackbuild lock",
        )
    return found


def damaged(path: Path | str, got: str) -> HostileInput:
    """The error for a text that `lock` would not have written."""
    return HostileInput(
        "lock is damaged",
        where=str(path),
        got=got[:200],
        next_step=f"git checkout -- {path}, or make it anew: stackbuild lock",
    )
