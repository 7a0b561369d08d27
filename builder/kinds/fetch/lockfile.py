"""The text of a lock of fetched files: `locks/<image>/<stem>.sources.toml`.

    # stackbuild-lock: 1
    # written by `stackbuild lock`; edit stacks.toml instead

    [[fetch]]
    name = "kubectl"
    version = "1.31.0"
    url = "https://dl.k8s.io/v1.31.0/bin/linux/amd64/kubectl"
    sha256-url = "https://dl.k8s.io/v1.31.0/bin/linux/amd64/kubectl.sha256"     (only where one is asked for)
    file = "kubectl"
    size = 56381592
    sha256 = "…"

The request that the lock answers is the first four of each table, which the manifest gives. There is exactly one text
for a lock: whatever `dumps` would not write, `loads` refuses. Unchanged lines (`name`, an empty one, `[[fetch]]`) part
every two pins, so two bumps merge without a conflict.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import islice, pairwise, zip_longest
from pathlib import Path
from typing import Any

from builder import limits, toml
from builder.digest import Digest
from builder.errors import StackbuildError, raise_all
from builder.kinds.fetch.request import KIND, Request
from builder.lock import Lock, Pin

FORMAT = "1"
_HEAD = (f"# stackbuild-lock: {FORMAT}", "# written by `stackbuild lock`; edit stacks.toml instead")
_NEXT = "undo the edit (git checkout), or write it anew: stackbuild lock"
_PLAIN = re.compile(r'[^"\\\x00-\x1f\x7f]*')
_TEXTS = {
    "name": re.compile(r"[a-z0-9]+(-[a-z0-9]+)*"),
    "version": re.compile(r"[A-Za-z0-9][A-Za-z0-9.+~_-]*"),
    # As the manifest has it, without user, password and query; what its templates became is in it.
    "url": re.compile(r"https?://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9._~!$+,;=:@%-]*)*"),
    "sha256-url": re.compile(r"https?://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9._~!$+,;=:@%-]*)*"),
    "file": _PLAIN,
    "sha256": re.compile(r"[0-9a-f]{64}"),
}


def pin(request: Request, digest: Digest, size: int) -> Pin:
    """The pin that answers a request with a file of that digest and that many bytes."""
    fields = [("url", request.url)]
    if request.checksum:
        fields.append(("sha256-url", request.checksum))
    return Pin(
        kind=KIND,
        name=request.name,
        version=request.version,
        filename=request.filename,
        digest=digest,
        size=size,
        fields=tuple(fields),
    )


def line(one: Pin) -> str:
    """The request that a pin answers, as `Request.line` has it."""
    words = [one.name, one.version, one.field("url")]
    return " ".join([*words, "sha256", one.field("sha256-url")] if one.field("sha256-url") else words)


def dumps(lock: Lock) -> str:
    """The text of a lock; equal locks are equal bytes.

    Raises:
        StackbuildError: a value would need escapes, which no URL that the manifest allows does.
    """
    lines = list(_HEAD)
    for one in lock.pins:
        texts = {"name": one.name, "version": one.version, **dict(one.fields), "file": one.filename}
        for key, value in texts.items():
            if not _TEXTS[key].fullmatch(value) or not _PLAIN.fullmatch(value):
                raise StackbuildError(f"cannot be locked: {key} of {one.name}", got=repr(value)[:200])
        lines += ["", "[[fetch]]", *(f'{key} = "{value}"' for key, value in texts.items())]
        lines += [f"size = {one.size}", f'sha256 = "{one.digest.hex}"']
    return "\n".join(lines) + "\n"


def loads(text: str, path: Path | str) -> Lock:
    """The lock of a text that `dumps` wrote. `path` is only for messages.

    Raises:
        StackbuildError: the text was edited by hand or badly merged; with the line.
    """
    lines = text.split("\n")
    if lines[0] != _HEAD[0]:
        raise StackbuildError(
            f"not a lock of fetched files of format {FORMAT}: {path}",
            where=f"{path}:1",
            expected=_HEAD[0],
            got=lines[0][:100],
            next_step="stackbuild lock writes it anew",
        )
    try:
        document = toml.loads(text)
    except (ValueError, RecursionError) as error:
        line_number = getattr(error, "lineno", 1)
        raise StackbuildError(
            "broken lock: not TOML", where=f"{path}:{line_number}", got=lines[line_number - 1][:100], next_step=_NEXT
        ) from None
    tables = document.get("fetch")
    if set(document) != {"fetch"} or not isinstance(tables, list):
        raise StackbuildError(f"broken lock: {path} has no [[fetch]], or something else", next_step=_NEXT)
    numbers = [n for n, one in enumerate(lines, 1) if one == "[[fetch]]"]
    if len(numbers) != len(tables):
        raise StackbuildError(f"broken lock: {path} has [[fetch]] in another way", next_step=_NEXT)
    problems = (
        StackbuildError(f"broken lock: {what}", where=f"{path}:{number}", next_step=_NEXT)
        for number, table in zip(numbers, tables, strict=True)
        for what in _wrong(table)
    )
    raise_all(list(islice(problems, limits.PROBLEMS)))
    pins = tuple(_pin(table) for table in tables)
    lock = Lock(request=tuple(sorted(line(one) for one in pins)), pins=pins)
    _judge(lock, lines, text, path)
    return lock


def _wrong(table: Any) -> Iterator[str]:
    if not isinstance(table, dict):
        yield "a pin is no table"
        return
    name = table["name"][:64] if isinstance(table.get("name"), str) else "a pin"
    for key, pattern in _TEXTS.items():
        value = table.get(key)
        if value is None and key == "sha256-url":
            continue
        if not isinstance(value, str) or not pattern.fullmatch(value):
            yield f"{key} of {name} is missing, cut or changed"
    size = table.get("size")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        yield f"size of {name} is missing or no number of bytes"
    for key in sorted(set(table) - set(_TEXTS) - {"size"}):
        yield f"{name} has a key that no lock has: {key[:64]}"


def _pin(table: Mapping[str, Any]) -> Pin:
    return Pin(
        kind=KIND,
        name=table["name"],
        version=table["version"],
        filename=table["file"],
        digest=Digest("sha256:" + table["sha256"]),
        size=table["size"],
        fields=tuple((key, table[key]) for key in ("url", "sha256-url") if key in table),
    )


def _judge(lock: Lock, lines: list[str], text: str, path: Path | str) -> None:
    """Refuse whatever else than the one text of this lock."""
    for before, after in pairwise(one.name for one in lock.pins):
        if after <= before:
            what = f"{after} is pinned twice" if after == before else f"{after} is not in its sorted place"
            raise StackbuildError(f"broken lock: {what}", where=str(path), next_step=_NEXT)
    written = dumps(lock)
    if written != text:
        pairs = enumerate(zip_longest(lines, written.split("\n"), fillvalue="the end of the file"), 1)
        number, (got, expected) = next((n, pair) for n, pair in pairs if pair[0] != pair[1])
        raise StackbuildError(
            "broken lock: a line is not as it was written",
            where=f"{path}:{number}",
            expected=expected,
            got=got[:200],
            next_step=_NEXT,
        )
