"""The line of every table, key and list item of a TOML text, by TOML path.

tomli reports no positions, so the text is walked a second time, by a scanner that only knows where things
begin and end: keys (bare, quoted, dotted), headers, strings of all four sorts, lists and inline tables over
several lines, comments (TOML 1.0, and the line breaks in inline tables of 1.1). It trusts that tomli has
accepted the text already; its drawback is that on any other text its answers mean nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

import tomli

from builder.manifest.shape import join

_BLANK = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_KEY = re.compile(r'"(?:[^"\\]|\\.)*"|\'[^\']*\'|[A-Za-z0-9_-]+')
# After three quotes that end a string of several lines, two more may still belong to it.
_STRING = re.compile(r'"""(?:[^\\]|\\.)*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:[^"\\]|\\.)*"|\'[^\']*\'', re.DOTALL)
_SCALAR = re.compile(r"[^,\]}\n#]+")


def locate(text: str) -> dict[str, int]:
    """The first line (from 1) of each thing in `text`, by TOML path: `images.jupyter.pip[2]`.

    A table's line is its header's, where it has one, else the line that first mentions it.

    Args:
        text: a TOML document that tomli accepts.
    """
    scanner = _Scanner(text)
    scanner.document()
    return scanner.lines


class Lines(Mapping[str, int]):
    """The lines of a text, which are looked for once somebody asks: only errors and messages do.

    Args:
        same: image → the one from which it takes what it does not have itself, with its lines. They are no members, as
            there may be many times more of them than lines.
    """

    def __init__(self, find: Callable[[], Mapping[str, int]], same: Mapping[str, str] | None = None) -> None:
        self._find = find
        self._same = same or {}
        self._found: Mapping[str, int] | None = None

    def _lines(self) -> Mapping[str, int]:
        if self._found is None:
            self._found = self._find()
        return self._found

    def __getitem__(self, path: str) -> int:
        found, at = self._lines(), path
        while at not in found:
            table, image, key = (*at.split(".", 2), "", "")[:3]
            if table != "images" or not key or image not in self._same:
                raise KeyError(path)
            at = f"images.{self._same[image]}.{key}"
        return found[at]

    def __iter__(self) -> Iterator[str]:
        return iter(self._lines())

    def __len__(self) -> int:
        return len(self._lines())


class _Scanner:
    """A position in the text, and what was found up to it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.lines: dict[str, int] = {}
        self._line, self._counted = 1, 0
        self._tables: dict[str, int] = {}  # For each list of tables ([[path]]), how many there were so far.

    def document(self) -> None:
        table = ""
        while self._skip():
            if self.text[self.at] == "[":
                table = self._header()
            else:
                self._pair(table)

    def _skip(self) -> bool:
        """Move to the next thing that is no blank and no comment; False at the end."""
        match = _BLANK.match(self.text, self.at)
        assert match is not None
        self.at = match.end()
        return self.at < len(self.text)

    def _mark(self, path: str, *, explicit: bool = False) -> None:
        self._line += self.text.count("\n", self._counted, self.at)
        self._counted = self.at
        if explicit:
            self.lines[path] = self._line
        else:
            self.lines.setdefault(path, self._line)

    def _key(self) -> list[str]:
        """A key, dotted or not; afterwards the position is behind it and the blanks that follow."""
        parts = []
        while True:
            self._skip()
            match = _KEY.match(self.text, self.at)
            assert match is not None
            word = match[0]
            parts.append(_unquoted(word) if word[0] in "\"'" else word)
            self.at = match.end()
            self._skip()
            if self.text[self.at] != ".":
                return parts
            self.at += 1

    def _header(self) -> str:
        many = self.text.startswith("[[", self.at)
        start = self.at
        self.at += 2 if many else 1
        parts = self._key()
        end = self.at + (2 if many else 1)
        self.at = start
        path = ""
        for n, part in enumerate(parts):
            path = join(path, part)
            last = n == len(parts) - 1
            self._mark(path, explicit=last and not many)
            if last and many:
                self._tables[path] = self._tables.get(path, 0) + 1
            if path in self._tables:
                path = join(path, self._tables[path] - 1)
                self._mark(path)
        self.at = end
        return path

    def _pair(self, table: str) -> None:
        start = self.at
        parts = self._key()
        after, self.at = self.at + 1, start
        path = table
        for part in parts:
            path = join(path, part)
            self._mark(path)
        self.at = after
        self._value(path)

    def _value(self, path: str) -> None:
        self._skip()
        match self.text[self.at]:
            case "[":
                self._items(path, "]")
            case "{":
                self._items(path, "}")
            case '"' | "'":
                self._take(_STRING)
            case _:
                self._take(_SCALAR)

    def _take(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self.text, self.at)
        assert match is not None
        self.at = match.end()

    def _items(self, path: str, end: str) -> None:
        """The items of a list or the pairs of an inline table, up to the bracket that ends it."""
        self.at += 1
        count = 0
        while self._skip() and self.text[self.at] != end:
            if self.text[self.at] == ",":
                self.at += 1
            elif end == "}":
                self._pair(path)
            else:
                here = join(path, count)
                self._mark(here)
                self._value(here)
                count += 1
        self.at += 1


def _unquoted(word: str) -> str:
    text = tomli.loads(f"key = {word}")["key"]
    assert isinstance(text, str)
    return text
