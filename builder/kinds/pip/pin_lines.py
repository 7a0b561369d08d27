"""The lines of one pin in a pip lock, written and read; how they look, and what stands around them, is `lockfile.py`'s.

Loading is on the path of a build with nothing to do, so nothing slow is imported here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence, Set
from typing import Protocol

from builder.digest import Digest
from builder.lock import Pin

_PIN = re.compile(r"([a-z0-9]+(?:-[a-z0-9]+)*)==([A-Za-z0-9][A-Za-z0-9.!+_-]*) \\")
_HASH = re.compile(r"    --hash=(\S*)")
_FILE = re.compile(r"    # file: ([A-Za-z0-9][A-Za-z0-9.!+_-]*) ([0-9]+)")
_COMMENT = re.compile(r"    # (?:(index:|via) ([A-Za-z0-9._-]+)|(requires:) (\S(?:.*\S)?))")
_SUFFIXES = (".tar.gz", ".zip")


class Wrong(Protocol):
    """The function that notes a problem."""

    def __call__(self, number: int, what: str, **more: str) -> None: ...


def dumps(pin: Pin, shown: Set[str], *, named: bool) -> Iterator[str]:
    """The lines of a pin.

    Args:
        shown: who asks for it, as far as the lock shows that otherwise.
        named: whether its name comes first, as in every format but the first.
    """
    if named:
        yield f"# {pin.name}"
    yield f"{pin.name}=={pin.version} \\"
    yield f"    --hash={pin.digest}"
    yield f"    # file: {pin.filename} {pin.size}"
    if pin.source:
        yield f"    # index: {pin.source}"
    for key, value in pin.fields:
        yield f"    # {key}: {value}"
    for name in pin.via:
        if name not in shown:
            yield f"    # via {name}"


def loads(start: int, block: Sequence[str], wrong: Wrong, *, named: bool) -> Pin | None:
    """The pin of the lines that `dumps` wrote; None, with the problem noted, where they cannot be read.

    Args:
        start: the number of the first line.
    """
    if not named:
        return _pin(start, block, wrong)
    name = block[0].removeprefix("# ") if block else ""
    if not block or len(block) < 2 or block[0] == name or not block[1].startswith(f"{name}=="):
        wrong(start, "a pin begins otherwise", expected="# name, then name==version \\", got="".join(block[:1])[:100])
        return None
    return _pin(start + 1, block[1:], wrong)


def _pin(start: int, block: Sequence[str], wrong: Wrong) -> Pin | None:
    first = _PIN.fullmatch(block[0]) if block else None
    if first is None:
        line = block[0] if block else ""
        wrong(start, "a pin begins otherwise", expected="name==version \\", got=line[:100])
        return None
    name, version = first.groups()
    second = _HASH.fullmatch(block[1]) if len(block) > 1 else None
    third = _FILE.fullmatch(block[2]) if len(block) > 2 else None
    if second is None or third is None:
        number = 1 if second is None else 2
        got = block[number] if len(block) > number else "the end of the pin"
        form = "    --hash=sha256:<64 hex digits>" if second is None else "    # file: <file name> <size in bytes>"
        wrong(
            start + number,
            f"{name} has another line",
            expected=form.strip(),
            got=got.strip()[:100],
        )
        return None
    if not re.fullmatch(r"sha256:[0-9a-f]{64}", second.group(1)):
        wrong(
            start + 1,
            f"the digest of {name} is cut or changed",
            expected="sha256:<64 hex digits>",
            got=second.group(1),
        )
        return None
    filename = third.group(1)
    if (says := _disagreement(filename, name, version)) is not None:
        wrong(start + 2, f"the file of {name}=={version} is another's", expected=says, got=filename)
    more: dict[str, list[str]] = {"index:": [], "requires:": [], "via": []}
    for number, line in enumerate(block[3:], start + 3):
        found = _COMMENT.fullmatch(line)
        if found is None:
            wrong(number, f"unknown line at {name}: {line.strip()[:100]}")
        else:
            more[found.group(1) or found.group(3)].append(found.group(2) or found.group(4))
    for key in ("requires:", "via"):
        if more[key] != sorted(set(more[key])):
            wrong(start, f"the `{key}` lines of {name} are not sorted, or one is there twice")
    return Pin(
        kind="pip",
        name=name,
        version=version,
        filename=filename,
        digest=Digest(second.group(1)),
        size=int(third.group(2)),
        source=more["index:"][0] if more["index:"] else "",
        via=tuple(more["via"]),
        fields=tuple(("requires", value) for value in more["requires:"]),
    )


def _disagreement(filename: str, name: str, version: str) -> str | None:
    """What the file name ought to begin with, or None where it fits name and version (PEP 427, PEP 625)."""
    expected = f"{name.replace('-', '_')}-{version}"
    if filename.endswith(".whl"):
        parts = filename.split("-")
        claimed, says = parts[0], parts[1] if len(parts) in (5, 6) else ""
        expected += "-….whl"
    elif suffix := next((one for one in _SUFFIXES if filename.endswith(one)), ""):
        claimed, _, says = filename.removesuffix(suffix).rpartition("-")
        expected += suffix
    else:
        return expected + "-….whl"
    if re.sub(r"[-_.]+", "-", claimed).lower() != name:
        return expected
    if says == version or says.replace("_", "+") == version:
        return None
    # The index's own spelling may differ (1.0.0rc1 and 1.0.0-rc1); only then is a parser worth its import.
    from packaging.version import InvalidVersion, Version

    try:
        return None if Version(says.replace("_", "+")) == Version(version) else expected
    except InvalidVersion:
        return expected
