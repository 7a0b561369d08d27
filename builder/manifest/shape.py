"""Does a value have the shape that a schema says? The part of JSON Schema that our declarations need.

A declaration is a plain JSON Schema fragment (draft 2020-12), so that one text both validates `stacks.toml`
and completes it in an editor. The `jsonschema` library is not used here because importing it takes longer
than reading the manifest; a test holds it against `findings` instead. Three keywords are ours, which other
readers ignore, as the specification asks of them (JSON Schema core, 6.5):

- `x-names`: the string is a name that this table of the manifest defines ("sets", "layouts", …);
- `x-requests`: no two items of the list may be about the same name;
- `x-needs`: an image with this key, or an ancestor of it, must have that key too (`validate.py` looks).

`title` says in words what is expected; every pattern begins with `^` and ends with `$`, and its alternatives
stand in a group.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from typing import TypeAlias, TypedDict

from builder.digest import Json

Schema = TypedDict(
    "Schema",
    {
        "type": str,
        "title": str,
        "description": str,
        "default": Json,
        "examples": Sequence[Json],
        "enum": Sequence[str],
        "pattern": str,
        "format": str,
        "minimum": int,
        "maximum": int,
        "minItems": int,
        "uniqueItems": bool,
        "items": "Schema",
        "properties": "Mapping[str, Schema]",
        "required": Sequence[str],
        "additionalProperties": "Schema | bool",
        "propertyNames": "Schema",
        "anyOf": "Sequence[Schema]",
        "not": "Schema",
        "x-names": str,
        "x-requests": bool,
        "x-needs": str,
    },
    total=False,
)

Names: TypeAlias = Mapping[str, Collection[str]]
"""For each table of names, the names that it defines."""

_TYPES = {
    "string": "a string",
    "integer": "an integer",
    "boolean": "true or false",
    "array": "a list",
    "object": "a table",
}
_DATES: Mapping[type, str] = {date: "date", datetime: "date-time"}
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_END_OF_NAME = re.compile(r"(?<=.)[\[=<>!~; @]")  # An npm name may begin with @.
_DASHES = re.compile(r"[-_.]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong, at a TOML path; the fields are those of `StackbuildError`."""

    path: str
    what: str
    expected: str = ""
    got: str = ""
    next_step: str = ""


def join(path: str, part: str | int) -> str:
    """A TOML path and one more part: `images.jupyter` and `pip` and `2` give `images.jupyter.pip[2]`."""
    if isinstance(part, int):
        return f"{path}[{part}]"
    if not _BARE.fullmatch(part):
        part = show(part)
    return f"{path}.{part}" if path else part


def show(value: object) -> str:
    """A value as an error prints it: short, on one line, with no character that a terminal would act on."""
    if isinstance(value, str):
        text = json.dumps(value, ensure_ascii=not value.isprintable())
        return text if len(text) <= 100 else text[:97] + '…"'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (dict, list)):
        return f"a {'table' if isinstance(value, dict) else 'list'} of {len(value)}"
    return str(value)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`did you mean "layout"?`, or nothing where no known name is near."""
    from difflib import get_close_matches  # Only a wrong manifest pays for this import.

    near = get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    return f"did you mean {show(near[0])}?" if near else ""


def request_name(request: str) -> str:
    """The name a request is about, normalised (PEP 503): `Uvicorn[standard]==0.30` is about `uvicorn`."""
    return _DASHES.sub("-", _END_OF_NAME.split(request, maxsplit=1)[0]).lower()


def findings(value: object, schema: Schema, names: Names, path: str = "") -> Iterator[Finding]:
    """Everything about `value` that `schema` does not allow, in the value's own order.

    Args:
        value: what tomli made of a TOML text, or a part of it.
        names: what each `x-names` may name.
        path: TOML path of `value`.
    """
    if "not" in schema:
        yield Finding(path=path, what=f"not yet: {path}", expected=schema["title"])
        return
    if "anyOf" not in schema and _is(value, schema):
        yield from _CHECKS[schema["type"]](value, schema, names, path)
        return
    branches = schema.get("anyOf", (schema,))
    fitting = [branch for branch in branches if _is(value, branch)]
    if not fitting:
        wanted = " or ".join(_TYPES[branch["type"]] for branch in branches)
        title = schema.get("title")
        yield Finding(
            path=path,
            what=f"wrong type: {path or 'the document'}",
            expected=f"{wanted}: {title}" if title else wanted,
            got=f"{_type(value)}: {show(value)}" if not isinstance(value, (dict, list)) else _type(value),
        )
        return
    told = [list(_CHECKS[branch["type"]](value, branch, names, path)) for branch in fitting]
    yield from min(told, key=bool)  # What fits one branch is fine; else the first says what is wrong.


def _is(value: object, schema: Schema) -> bool:
    match schema["type"]:
        case "string":
            # TOML has dates and date-times of its own; JSON, and so an editor, sees them as strings.
            return isinstance(value, str) or schema.get("format") == _DATES.get(type(value), "none")
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "boolean":
            return isinstance(value, bool)
        case "array":
            return isinstance(value, list)
        case other:
            assert other == "object", other
            return isinstance(value, dict)


def _type(value: object) -> str:
    names = {
        bool: "a boolean",
        str: "a string",
        int: "an integer",
        float: "a float",
        list: "a list",
        dict: "a table",
    }
    return names.get(type(value), "a date or time")


@cache
def _pattern(pattern: str) -> re.Pattern[str]:
    # Python's `$` also matches before a last newline, JSON Schema's (ECMA 262) does not; hence fullmatch.
    return re.compile(pattern.removeprefix("^").removesuffix("$"))


def _string(value: object, schema: Schema, names: Names, path: str) -> Iterator[Finding]:
    text = value.isoformat() if isinstance(value, date) else value
    assert isinstance(text, str)
    if "enum" in schema and text not in schema["enum"]:
        yield Finding(
            path=path,
            what=f"bad value: {path}",
            expected="one of " + ", ".join(schema["enum"]),
            got=show(text),
            next_step=did_you_mean(text, schema["enum"]),
        )
    elif "pattern" in schema and not _pattern(schema["pattern"]).fullmatch(text):
        yield Finding(path=path, what=f"bad value: {path}", expected=_wanted(schema), got=show(text))
    elif "x-names" in schema and text not in names[schema["x-names"]]:
        yield unknown(schema["x-names"], text, names, path)


def unknown(table: str, name: str, names: Names, path: str) -> Finding:
    """The finding that `table` defines no such name."""
    known = sorted(names[table])
    near = did_you_mean(name, known)
    listed = f"a name that [{table}] defines: " + ", ".join(known) if known else f"a table [{table}.{name}]"
    return Finding(
        path=path,
        what=f"unknown {'index' if table == 'indexes' else table.removesuffix('s')}: {path}",
        expected="" if near else listed,
        got=show(name),
        next_step=near,
    )


def _wanted(schema: Schema) -> str:
    examples = ", ".join(show(one) for one in schema.get("examples", ()))
    return schema["title"] + (f", such as {examples}" if examples else "")


def _integer(value: object, schema: Schema, names: Names, path: str) -> Iterator[Finding]:
    assert isinstance(value, int)
    low, high = schema["minimum"], schema["maximum"]
    if not low <= value <= high:
        yield Finding(path=path, what=f"out of range: {path}", expected=f"{low} to {high}", got=str(value))


def _array(value: object, schema: Schema, names: Names, path: str) -> Iterator[Finding]:
    assert isinstance(value, list)
    if len(value) < schema.get("minItems", 0):
        yield Finding(path=path, what=f"empty list: {path}", expected=schema.get("title", "at least one item"))
    first: dict[object, int] = {}
    for n, item in enumerate(value):
        here = join(path, n)
        wrong = list(findings(item, schema["items"], names, here))
        yield from wrong
        subject = _subject(item, schema)
        if wrong or subject is None:
            continue
        if first.setdefault(subject, n) != n:
            yield Finding(
                path=here,
                what=f"twice in one list: {here}",
                got=f"{show(item)} after {show(value[first[subject]])}",
                next_step=f"remove {here} or {join(path, first[subject])}",
            )


def _subject(item: object, schema: Schema) -> object:
    """What may stand only once in the list, or None where repetition is meant (an argument list)."""
    if schema.get("x-requests"):
        return request_name(str(item["name"] if isinstance(item, dict) and "name" in item else item))
    return item if schema.get("uniqueItems") else None


def _object(value: object, schema: Schema, names: Names, path: str) -> Iterator[Finding]:
    assert isinstance(value, dict)
    known = schema.get("properties", {})
    others = schema["additionalProperties"]
    for name, item in value.items():
        here = join(path, name)
        if name in known:
            yield from findings(item, known[name], names, here)
        elif isinstance(others, bool):
            near = did_you_mean(name, known)
            yield Finding(
                path=here,
                what=f"unknown key: {here}",
                expected="" if near else "one of " + ", ".join(sorted(known)),
                next_step=near,
            )
        else:
            wrong = list(findings(name, schema["propertyNames"], names, here))
            yield from wrong or findings(item, others, names, here)
    for name in schema.get("required", ()):
        if name not in value:
            yield Finding(
                path=path,
                what=f"missing key: {join(path, name)}",
                expected=known[name].get("title", known[name].get("description", "")),
            )


_CHECKS: Mapping[str, Callable[[object, Schema, Names, str], Iterator[Finding]]] = {
    "string": _string,
    "integer": _integer,
    "boolean": lambda value, schema, names, path: iter(()),
    "array": _array,
    "object": _object,
}
