"""The text of an apt lock: deb822, in the archive's own fields.

    # comment
    Format: 1
    Archive: debian
    …
    Request:
     bash
     bzip2

    Package: adduser
    Version: 3.134
    …
    X-Via: base-files

There is one way to write a lock, so an unchanged pin is unchanged text. A paragraph ends with `X-Via` and the
next begins with `Package`; both stay when a version moves, hence the bumps of two neighbours merge (git joins
changes that touch each other). `X-Via` names who brought the package first, not everybody who needs it: the
full list for libc6 would change with every new package.

Reading is strict, as a lock that is half understood is worse than none. Drawback: an editor that re-wraps
lines makes a lock unreadable; the error names the line.

`X-Suite` and `X-Release` say where a pin comes from and of which day that Release file was, which is the day
to ask a snapshot archive for.

Nothing heavy is imported here: every build reads locks first.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from builder.digest import Digest
from builder.errors import HostileInput, StackbuildError
from builder.kinds.apt.package import FIELDS
from builder.lock import Lock, Pin

FORMAT = "1"

_COMMENT = """\
# Debian packages that this image adds to its parent.
# Written by `stackbuild lock`, never by hand: edit stacks.toml. `stackbuild lock --check` needs no network.
"""
_HEAD = ("Format", "Archive", "Architecture", "Suites", "Components", "Request")
_ORDER = ("Package", "Version", *FIELDS, "Filename", "Size", "SHA256", "X-Suite", "X-Release", "X-Via")
_NEEDED = frozenset(
    ("Package", "Version", "Architecture", "Filename", "Size", "SHA256", "X-Suite", "X-Release", "X-Via")
)
_RANK = {name: rank for rank, name in enumerate(_ORDER)}
_APART = frozenset(("Package", "Version", "Filename", "Size", "SHA256", "X-Via"))
"""Fields that have a place of their own in `Pin`."""

_SHAPES = {
    "Package": re.compile(r"[a-z0-9][a-z0-9+.-]+"),
    "Version": re.compile(r"(?:\d+:)?\d[A-Za-z0-9.+~:-]*"),
    "Filename": re.compile(r"(?!/)(?!(?:.*/)?\.\.?(?:/|$))[!-~]+"),
    "Size": re.compile(r"0|[1-9]\d*"),
    "SHA256": re.compile(r"[0-9a-f]{64}"),
    "X-Release": re.compile(r"\d{8}T\d{6}Z"),
}
_SHAPED = tuple(_SHAPES.items())
_FORMS = {
    "Package": "a package name",
    "Version": "a Debian version",
    "Filename": "a path below the archive",
    "Size": "bytes",
    "SHA256": "64 hexadecimal digits",
    "X-Release": "YYYYMMDDTHHMMSSZ",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a lock says of itself, beside the request.

    Attributes:
        archive: the archive's name in the stacks manifest; the `source` of every pin.
        architecture: Debian's name for it (`amd64`).
        recommends: whether what packages recommend was asked for too; written only where it was.
    """

    archive: str
    architecture: str
    suites: tuple[str, ...]
    components: tuple[str, ...] = ("main",)
    recommends: bool = False


def dumps(lock: Lock, header: Header) -> str:
    """The text of a lock; `loads` gives back an equal one if every pin's `source` is `header.archive`."""
    rows = [_COMMENT + f"Format: {FORMAT}"]
    rows.append(f"Archive: {header.archive}")
    rows.append(f"Architecture: {header.architecture}")
    rows.append(f"Suites: {' '.join(header.suites)}")
    rows.append(f"Components: {' '.join(header.components)}")
    rows += ["Recommends: yes"] if header.recommends else []
    rows.append("Request:")
    rows += [f" {item}" for item in lock.request]
    for pin in lock.pins:
        rows.append("")
        fields = dict(pin.fields)
        fields |= {
            "Package": pin.name,
            "Version": pin.version,
            "Filename": pin.filename,
            "Size": str(pin.size),
            "SHA256": pin.digest.removeprefix("sha256:"),
            "X-Via": ", ".join(pin.via),
        }
        rows += [f"{name}: {fields[name]}" for name in _ORDER if name in fields]
    return "\n".join(rows) + "\n"


def loads(text: str, path: str) -> Lock:
    """The lock that a text says.

    Args:
        path: for errors.

    Raises:
        StackbuildError: the text is not what `dumps` writes; the first wrong line is named.
    """
    return load(text, path)[1]


def load(text: str, path: str) -> tuple[Header, Lock]:
    """As `loads`, with the header."""
    if not text.endswith("\n") or text.endswith("\n\n"):
        line = text.count("\n") + (0 if text.endswith("\n") else 1)
        raise _wrong(path, line, "one newline at the end", "more of them" if text.endswith("\n") else "none: cut off?")
    first, *rest = text[:-1].split("\n\n")
    header, request = _head(first, path)
    line = first.count("\n") + 3
    pins: list[Pin] = []
    before = ""
    for paragraph in rest:
        pin = _pin(paragraph, path, line, header)
        if pin.name <= before:
            raise _wrong(path, line, f"packages sorted by name, each once, after {before}", pin.name)
        before = pin.name
        pins.append(pin)
        line += paragraph.count("\n") + 2
    return header, Lock(request=request, pins=tuple(pins))


def _head(paragraph: str, path: str) -> tuple[Header, tuple[str, ...]]:
    found: dict[str, str] = {}
    request: list[str] = []
    recommends = False
    for number, line in enumerate(paragraph.split("\n"), 1):
        if line.startswith("#"):
            continue
        if line.startswith(" ") and len(found) == len(_HEAD):
            item = line[1:]
            if not item or item != item.strip() or (request and item <= request[-1]):
                raise _wrong(path, number, "request items sorted, one a line, each once", line)
            request.append(item)
            continue
        if line == "Recommends: yes" and len(found) == len(_HEAD) - 1 and not recommends:
            recommends = True
            continue
        name, colon, value = line.partition(":")
        wanted = _HEAD[len(found)] if len(found) < len(_HEAD) else "a request item"
        if name != wanted or not colon or (not value.strip()) != (name == "Request"):
            raise _wrong(path, number, f"{wanted}: …" if wanted in _HEAD else wanted, line)
        if name == "Format" and value.strip() != FORMAT:
            raise _other_format(path, number, value.strip())
        found[name] = value.strip()
    if len(found) < len(_HEAD):
        raise _wrong(path, paragraph.count("\n") + 1, f"{_HEAD[len(found)]}: …", "the end of the header")
    header = Header(
        archive=found["Archive"],
        architecture=found["Architecture"],
        suites=tuple(found["Suites"].split()),
        components=tuple(found["Components"].split()),
        recommends=recommends,
    )
    return header, tuple(request)


def _pin(paragraph: str, path: str, line: int, header: Header) -> Pin:
    """One package; `line` is that of the paragraph's first line."""
    found: dict[str, str] = {}
    rank = -1
    for row in paragraph.split("\n"):
        name, colon, value = row.partition(": ")
        this = _RANK.get(name, -1)
        if this <= rank or not colon or not value or value != value.strip():
            raise _wrong(path, line + len(found), _next_field(rank), row)
        rank = this
        found[name] = value
    if not found.keys() >= _NEEDED:
        missing = ", ".join(name for name in _ORDER if name in _NEEDED and name not in found)
        raise _wrong(path, line, f"{missing} in this paragraph", f"Package: {found.get('Package', '?')} without it")
    for name, shape in _SHAPED:
        if shape.fullmatch(found[name]) is None:
            raise _wrong(path, line + list(found).index(name), f"{name}: {_FORMS[name]}", found[name])
    if found["Architecture"] not in (header.architecture, "all"):
        at = line + list(found).index("Architecture")
        raise _wrong(path, at, f"Architecture: {header.architecture} or all", found["Architecture"])
    if found["X-Suite"] not in header.suites:
        at = line + list(found).index("X-Suite")
        raise _wrong(path, at, f"X-Suite: one of {' '.join(header.suites)}", found["X-Suite"])
    return Pin(
        kind="apt",
        name=found["Package"],
        version=found["Version"],
        filename=found["Filename"],
        digest=Digest("sha256:" + found["SHA256"]),
        size=int(found["Size"]),
        source=header.archive,
        via=tuple(found["X-Via"].split(", ")),
        fields=tuple((name, value) for name, value in found.items() if name not in _APART),
    )


def _next_field(rank: int) -> str:
    rest = _ORDER[rank + 1 :]
    return f"one of {', '.join(rest)}" if rest else "an empty line before the next package"


def line_of(text: str, name: str, field: str = "Package") -> int:
    """The line of a package's field in a lock's text, 1 if it is not there."""
    start = text.find(f"\nPackage: {name}\n")
    if start < 0:
        return 1
    end = text.find("\n\n", start + 1)
    at = text.find(f"\n{field}: ", start, end if end >= 0 else len(text))
    return text.count("\n", 0, (at if at >= 0 else start) + 1) + 1


def _wrong(path: str, line: int, expected: str, got: str) -> HostileInput:
    return HostileInput(
        "lock is damaged",
        where=f"{path}:{line}",
        expected=expected,
        got=got[:100],
        next_step=f"git checkout -- {path}, or make it anew: stackbuild lock",
    )


def _other_format(path: str, line: int, got: str) -> StackbuildError:
    return StackbuildError(
        "lock of another format",
        where=f"{path}:{line}",
        expected=f"Format: {FORMAT}",
        got=f"Format: {got}",
        next_step="use the stackbuild that wrote it, or make it anew: stackbuild lock",
    )
