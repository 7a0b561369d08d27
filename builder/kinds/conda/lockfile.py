"""The text of a conda lock: conda-lock's unified format, version 1, for one platform.

    # Conda packages that this image adds to its parent, in conda-lock's format.
    version: 1
    metadata:
      content_hash, channels, platforms, sources
      custom_metadata:
        format: '1'
        request: '⏎⏎ numpy>=2 ⏎⏎ python==3.12.11 ⏎⏎'         normalised, sorted, one item a line
        channels: '⏎⏎ conda-forge https://… ⏎⏎'               by priority: name and public URL
        virtual: '⏎⏎ __glibc==2.36 ⏎⏎'                        what the solver took the machine to have
        pin numpy: '⏎⏎ size 123 ⏎⏎ pypi numpy==2.1.0 ⏎⏎'      what conda-lock's entry has no place for
    package:
    - name: numpy
      …

`conda-lock install`, micromamba and rattler read it. conda-lock's models write it, which takes their import, nearly a
second; so reading, which every build does, is our own and strict: there is exactly one text for a lock, and `loads`
refuses what `dumps` would not write. A test holds both against conda-lock's parser.

YAML writes a line break inside a text as an empty line. So an unchanged line parts every two items, as git conflicts
where two changes touch. Drawback: two branches that add different packages at the same place still conflict.
"""

from __future__ import annotations

import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from builder.errors import HostileInput, StackbuildError
from builder.kinds.conda.document import CondaLock, Damaged, of_lock, to_lock

_COMMENT: Final = """\
# Conda packages that this image adds to its parent, in conda-lock's format.
# Written by `stackbuild lock`, never by hand: edit stacks.toml. `stackbuild lock --check` needs no network.
"""


_DEEPEST = 16
"""How deep lists and tables stand in each other, at most; those of a lock five deep."""
_DIRECTIVE = re.compile("(?:\\A|[\n\r\x85\u2028\u2029\ufeff])%.{0,100}")
"""At the beginning of a line, whatever YAML takes for the end of one."""
_LONGEST_PLAIN = 4096
"""Characters of a text without quotes."""
_MOST_EVENTS = 1_000_000
"""Texts, and beginnings and ends of lists and tables; each takes a kilobyte of memory. 1,000 packages have 40,000."""


def dumps(lock: CondaLock) -> str:
    """The text of a lock, written by conda-lock; equal locks are equal bytes.

    Raises:
        StackbuildError: this conda-lock writes what `loads` would refuse.
    """
    from conda_lock.lockfile import write_conda_lock_file  # type: ignore[import-untyped]
    from conda_lock.lockfile.v1.models import Lockfile  # type: ignore[import-untyped]
    from conda_lock.lockfile.v2prelim.models import lockfile_v1_to_v2  # type: ignore[import-untyped]

    content = lockfile_v1_to_v2(Lockfile.model_validate(of_lock(lock)))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "conda-lock.yml"
        write_conda_lock_file(content, path, None, include_help_text=False)
        text = _COMMENT + path.read_text("utf-8")
    if text != render(lock):
        raise StackbuildError(
            "conda-lock writes another text than stackbuild reads",
            next_step="report it, with the version of conda-lock",
        )
    return text


def render(lock: CondaLock) -> str:
    """The same text, without conda-lock."""
    import yaml  # type: ignore[import-untyped]

    body: str = yaml.dump(of_lock(lock), Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper), sort_keys=False)
    return _COMMENT + body


def loads(text: str, path: Path | str) -> CondaLock:
    """The lock of a text that `dumps` wrote. `path` is only for messages.

    Raises:
        HostileInput: it is another text, edited by hand or cut; with the line.
    """
    try:
        lock = to_lock(_parsed(text, path))
    except Damaged as error:
        raise _damaged(path, _line(text, error.place), expected=error.expected, got=error.got) from None
    except HostileInput as error:
        got = error.got or error.what
        raise _damaged(path, _line(text, error.where), expected=error.expected, got=got) from None
    lines, wanted = text.split("\n"), render(lock).split("\n")
    for number, (found, canonical) in enumerate(zip(lines, wanted, strict=False), 1):
        if found != canonical:
            raise _damaged(path, number, expected=canonical.strip() or "an empty line", got=found.strip())
    if len(lines) != len(wanted):
        number = min(len(lines), len(wanted))
        raise _damaged(path, number, expected=f"{len(wanted)} lines", got=f"{len(lines)} lines")
    return lock


def _parsed(text: str, path: Path | str) -> Any:
    import yaml

    if directive := _DIRECTIVE.search(text):  # Each is compared with all before it.
        number = text.count("\n", 0, directive.start()) + 1
        raise _damaged(path, number, expected="YAML as conda-lock writes it", got=directive[0].strip())
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        depth = 0
        for number, event in enumerate(yaml.parse(text, Loader=loader)):
            # An alias costs three bytes and may stand for a billion; the loader written in C dies of what is deep.
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            dear = depth > _DEEPEST or number > _MOST_EVENTS or _costly(event)
            if dear or isinstance(event, yaml.AliasEvent):
                raise _damaged(path, event.start_mark.line + 1, expected="YAML as conda-lock writes it", got="another")
        return yaml.load(text, Loader=loader)
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        got = getattr(error, "problem", None) or type(error).__name__
        raise _damaged(path, mark.line + 1 if mark else 1, expected="YAML as conda-lock writes it", got=got) from None


def _costly(event: Any) -> bool:
    """Whether the loader would take the square of its length for it: a long text without quotes that may be a number of
    base 60 (`1:59:59`), with a tag any text, and one of many keys `<<`.
    """
    plain = getattr(event, "implicit", None) == (True, False)
    return getattr(event, "tag", None) is not None or (
        plain and (len(event.value) > _LONGEST_PLAIN or event.value == "<<")
    )


def _damaged(path: Path | str, line: int, *, expected: str, got: str) -> HostileInput:
    return HostileInput(
        "lock is damaged",
        where=f"{path}:{line}",
        expected=expected[:200],
        got=got[:200],
        next_step=f"git checkout -- {path}, or make it anew: stackbuild lock",
    )


def line_of(text: str, name: str) -> int:
    """The line, counted from 1, of a package's entry in a lock's text; 1 where there is none."""
    return _line(text, f"- name: {name}\n")


def request_line(text: str, item: str) -> int:
    """The line of a requested item in a lock's text; 1 where there is none."""
    return _line(text, f"      {item}\n")


def _line(text: str, place: str) -> int:
    return text.count("\n", 0, max(text.find(place), 0)) + 1
