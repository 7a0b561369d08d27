"""The scanner finds the line that a person would point at."""

from __future__ import annotations

import json
from typing import Any

import tomli
from hypothesis import given
from hypothesis import strategies as st

from builder.manifest.lines import locate
from builder.manifest.shape import join

AWKWARD = '''# a comment with [a.table] = "x"

top = 1
dotted . "quo.ted" . 'lit"eral' = 2 # three parts
[ table . inner ] # comment ]
text = """
[not.a.table]
key = "no key" \\
""\\"""""
literal = \'\'\'
# no comment \'\'
x = [1,\'\'\'\'\'
after = "a # b ] , } = \\" c"
when = 2026-11-01 00:00:00Z
list = [ # comment, with ] and ,
  "a", "b",
  # another
  [ "c" ,
    "d" ], { x = 1, y = [
      "e" ] },
]
[table]
late = 3
[[many]]
a = 1
[[many]]
a = 2
[many.sub]
b = 3
[[many.deep]]
c = 4
["\\u00fc.x"]
inline = { a.b = 1, "c d" = { e = "}" } }
'''


def test_awkward_text() -> None:
    lines = locate(AWKWARD)
    assert lines == {
        "top": 3,
        "dotted": 4,
        'dotted."quo.ted"': 4,
        'dotted."quo.ted"."lit\\"eral"': 4,
        "table": 22,
        "table.inner": 5,
        "table.inner.text": 6,
        "table.inner.literal": 10,
        "table.inner.after": 13,
        "table.inner.when": 14,
        "table.inner.list": 15,
        "table.inner.list[0]": 16,
        "table.inner.list[1]": 16,
        "table.inner.list[2]": 18,
        "table.inner.list[2][0]": 18,
        "table.inner.list[2][1]": 19,
        "table.inner.list[3]": 19,
        "table.inner.list[3].x": 19,
        "table.inner.list[3].y": 19,
        "table.inner.list[3].y[0]": 20,
        "table.late": 23,
        "many": 24,
        "many[0]": 24,
        "many[0].a": 25,
        "many[1]": 26,
        "many[1].a": 27,
        "many[1].sub": 28,
        "many[1].sub.b": 29,
        "many[1].deep": 30,
        "many[1].deep[0]": 30,
        "many[1].deep[0].c": 31,
        '"ü.x"': 32,
        '"ü.x".inline': 33,
        '"ü.x".inline.a': 33,
        '"ü.x".inline.a.b': 33,
        '"ü.x".inline."c d"': 33,
        '"ü.x".inline."c d".e': 33,
    }
    assert set(lines) == set(paths(tomli.loads(AWKWARD)))


def test_windows_line_ends_and_no_last_one() -> None:
    assert locate('a = 1\r\n[b]\r\nc = [\r\n"x",\r\n"y"]') == {
        "a": 1,
        "b": 2,
        "b.c": 3,
        "b.c[0]": 4,
        "b.c[1]": 5,
    }


def test_nothing() -> None:
    assert locate("") == locate("# only this") == {}


def paths(value: Any, path: str = "") -> list[str]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [one for key, item in items for one in (join(path, key), *paths(item, join(path, key)))]


KEYS = st.text(max_size=4) | st.text("abz019-_", min_size=1, max_size=4)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=6) | st.text("\"'\\#[]{},=\n .", max_size=8)
BLANKS = st.sampled_from(["", " ", "\n", " # ], } \" ' \n", "\n\n\t"])


def quoted(text: str) -> str:
    """A TOML string in double quotes, which is a JSON string but for one character."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


@st.composite
def texts(draw: st.DrawFn) -> str:
    """A string in one of TOML's four forms."""
    text = draw(TEXTS)
    form = draw(st.integers(0, 3))
    plain = all(one.isprintable() for one in text)
    if form == 1 and plain and "'" not in text:
        return f"'{text}'"
    if form == 2 and "'''" not in text and all(one.isprintable() or one == "\n" for one in text):
        return f"'''\n{text}{chr(10) if text.endswith(chr(39)) else ''}'''"
    escaped = quoted(text)
    if form == 3:
        return f'""{escaped[:1]}{escaped[1:-1]}'.replace("\\n", "\n") + draw(st.sampled_from(['"""', '\\"""""']))
    return escaped


@st.composite
def values(draw: st.DrawFn, depth: int = 2) -> str:
    """A value as TOML, with blanks and comments wherever they may stand."""
    form = draw(st.integers(0, 4 if depth else 2))
    if form <= 1:
        return draw(texts())
    if form == 2:
        return draw(st.sampled_from(["1", "-2.5e3", "true", "inf", "1979-05-27 07:32:00Z", "07:32:00"]))
    if form == 3:
        items = draw(st.lists(values(depth=depth - 1), max_size=3))
        blanks = draw(st.lists(BLANKS, min_size=2 * len(items) + 1, max_size=2 * len(items) + 1))
        inner = "".join(f"{blanks[2 * n]}{item}{blanks[2 * n + 1]}," for n, item in enumerate(items))
        return f"[{inner}{blanks[-1]}]"
    keys = draw(st.lists(KEYS, max_size=3, unique=True))
    return "{ " + ", ".join(f"{key_text(key)} = {draw(values(depth=depth - 1))}" for key in keys) + " }"


def key_text(key: str) -> str:
    bare = key and all(one.isascii() and (one.isalnum() or one in "-_") for one in key)
    return key if bare else quoted(key)


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, dict[str, int]]:
    """A TOML text, and the line of each of its keys, counted while it was written."""
    text, expected = "", {}
    for n, key in enumerate(draw(st.lists(KEYS, max_size=4, unique=True))):
        text += draw(BLANKS.filter(lambda one: not one.strip(" ") or one.endswith("\n")))
        table = f"t{n}"
        expected[table] = text.count("\n") + 1
        text += f"[{table}]\n"
        text += draw(st.sampled_from(["", '# = [ "\n', "\n"]))
        expected[join(table, key)] = text.count("\n") + 1
        text += f"{key_text(key)} = {draw(values())} # end\n"
    return text, expected


@given(documents())
def test_every_path_is_found_where_it_was_written(case: tuple[str, dict[str, int]]) -> None:
    text, expected = case
    lines = locate(text)
    assert set(lines) == set(paths(tomli.loads(text)))
    assert {path: lines[path] for path in expected} == expected


@given(st.lists(st.tuples(BLANKS, BLANKS), max_size=8), st.booleans())
def test_items_of_a_list(blanks: list[tuple[str, str]], last: bool) -> None:
    """Each item is a mark that occurs once, so its line can be found by searching the text."""
    items = [f'{before}"mark{n}"{after}' for n, (before, after) in enumerate(blanks)]
    text = "x = [" + ",".join(items) + ("," if last and items else "") + "]"
    lines = locate(text)
    for n in range(len(blanks)):
        assert f'"mark{n}"' in text.split("\n")[lines[f"x[{n}]"] - 1]
