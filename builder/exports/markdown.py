"""Markdown of foreign texts, in which nothing that they say is acted upon (GitHub Flavored Markdown 0.29).

Every foreign text stands in a code span (6.3): in it there is no mention, link, image or HTML. What would end the span
or a table's cell is written as an escape.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from builder.exports.printable import printable


def code(text: str) -> str:
    """A code span; "" for nothing."""
    plain = printable(text).replace("`", r"\x60").replace("|", r"\x7c").strip()
    return f"`{plain}`" if plain else ""


def html(text: str) -> str:
    """Text inside HTML, where Markdown does not count."""
    plain = printable(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f"<code>{plain}</code>"


def link(text: str, url: str) -> str:
    """The text in a code span, which leads to a page if the URL is one of HTTPS.

    Whatever ends a destination (6.6) or a table's cell is written in percent.
    """
    scheme, slashes, rest = url.partition("://")
    if scheme != "https" or not slashes or not rest.isascii() or not code(text):
        return code(text)
    return f"[{code(text)}](https://{quote(rest, safe='/%:=?&#+~.,-_')})"


@dataclass(frozen=True, slots=True)
class Table:
    """A table with what stands before it."""

    title: str
    head: str
    rows: Sequence[str]

    @property
    def lines(self) -> list[str]:
        """All but the rows."""
        return [*([self.title, ""] if self.title else []), self.head, "|" + "---|" * (self.head.count("|") - 1)]


def row(*cells: str) -> str:
    """A row of a table, of cells that are Markdown."""
    return f"| {' | '.join(cells)} |"


_CUT = 80
"""Characters that are kept to say how much one table leaves out."""


def folded(summary: str, said: Iterable[str], tables: Sequence[Table], room: int) -> str:
    """Details to unfold: paragraphs, then tables, whose later rows are left out where the room is too small.

    Args:
        summary: HTML.
        room: characters.

    Returns:
        "" if not even the beginning has room.
    """
    lines = ["<details>", f"<summary>{summary}</summary>", ""]
    lines += [line for one in said for line in (one, "")]
    end = "\n</details>"
    room -= len("\n".join(lines)) + len(end) + sum(len("\n".join(one.lines)) + _CUT for one in tables)
    if room < 0:
        return ""
    for number, table in enumerate(tables):
        kept = fitting(table.rows, room // (len(tables) - number))
        room -= sum(len(one) + 1 for one in kept)
        lines += [*table.lines, *kept, ""]
        if len(kept) < len(table.rows):
            lines += [f"{len(table.rows) - len(kept)} more, which `--format json` has.", ""]
    return "\n".join(lines) + end


def fitting(rows: Sequence[str], room: int) -> list[str]:
    """The first of the rows, as many as have room."""
    kept: list[str] = []
    for one in rows:
        room -= len(one) + 1
        if room < 0:
            break
        kept.append(one)
    return kept
