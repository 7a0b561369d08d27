"""What packages require, as an indented tree for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from builder.chains import Branch
from builder.exports.printable import printable


def render(found: Mapping[str, Sequence[tuple[Branch, str]]]) -> str:
    """The text: a part for each kind; `…` stands for requirements that were shown above."""
    return "\n".join(f"{kind}\n" + "".join(map(_line, branches)) for kind, branches in found.items())


def _line(one: tuple[Branch, str]) -> str:
    branch, version = one
    return f"{'  ' * (branch.depth + 1)}{printable(branch.name)} {printable(version)}{' …' if branch.again else ''}\n"
