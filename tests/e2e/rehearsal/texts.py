"""What locks say, read from their texts alone, as git has them: nothing of `builder` is imported here.

    bokeh==3.9.0 \\
        --hash=sha256:b252…
        # file: bokeh-3.9.0-py3-none-any.whl 6396068
        # requires: numpy>=1.16
        # via stacks.toml
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

KINDS: Final = ("pip", "pip-build")
_PIN = re.compile(
    r"^(?P<name>[a-z0-9-]+)==(?P<version>\S+) \\\n +--hash=(?P<digest>sha256:[0-9a-f]{64})\n(?P<rest>(?: +#.*\n)*)",
    re.MULTILINE,
)
_REQUEST = re.compile(r"^# request: (.+)$", re.MULTILINE)
_REQUIRES = re.compile(r"^ +# requires: (.+)$", re.MULTILINE)
_VIA = re.compile(r"^ +# via (.+)$", re.MULTILINE)
_FILE = re.compile(r"^ +# file: (\S+) ([0-9]+)$", re.MULTILINE)

Chain = tuple[tuple[str, str], ...]
"""A target and its ancestors, from the root down, as image and variant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """A package of a lock; `via` are the names that ask for it, `rest` all lines below its digest."""

    name: str
    version: str
    digest: str
    size: int
    filename: str
    requires: tuple[Requirement, ...]
    via: tuple[str, ...]
    rest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """One lock; requests and requirements are read as PEP 508 has them."""

    requests: tuple[Requirement, ...]
    pins: Mapping[str, Pin]


EMPTY: Final = Text(requests=(), pins={})


def parse(text: str) -> Text:
    """A lock's text; what looks like a pin and is none that is understood is an error."""
    pins = {one.name: one for one in _pins(text)}
    assert len(pins) == len(re.findall(r"(?m)^[^#\s].*==", text)), "a line of a lock was not understood"
    return Text(requests=tuple(map(Requirement, _REQUEST.findall(text))), pins=pins)


def _pins(text: str) -> Iterator[Pin]:
    for found in _PIN.finditer(text):
        file = _FILE.search(found["rest"])
        assert file is not None, found["name"]
        yield Pin(
            name=found["name"],
            version=found["version"],
            digest=found["digest"],
            size=int(file[2]),
            filename=file[1],
            requires=tuple(map(Requirement, _REQUIRES.findall(found["rest"]))),
            via=tuple(_VIA.findall(found["rest"])),
            rest=found["rest"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Locks:
    """The locks of one revision, by image, variant and kind."""

    texts: Mapping[tuple[str, str, str], Text]

    def own(self, image: str, variant: str, kind: str = "pip") -> Text:
        return self.texts.get((image, variant, kind), EMPTY)

    def has(self, chain: Chain, kind: str = "pip") -> dict[str, tuple[str, Pin]]:
        """Name → the image that brings it, and its pin, of a target and its ancestors."""
        return {
            name: (image, pin) for image, variant in chain for name, pin in self.own(image, variant, kind).pins.items()
        }


def at(folder: Path, revision: str) -> Locks:
    """The Python locks of a git revision."""
    paths = _git(folder, "ls-tree", "-r", "--name-only", revision, "locks/").split()
    found = {}
    for path in paths:
        _, image, name = path.split("/")
        stem, _, kind = name.removesuffix(".txt").rpartition(".")
        if kind in KINDS:
            variant = stem.partition(".")[0] if "." in stem else "cpu"
            found[image, variant, kind] = parse(_git(folder, "show", f"{revision}:{path}"))
    return Locks(texts=found)


def lines(folder: Path, before: str, after: str) -> tuple[int, int]:
    """Lines of locks that git counts as added and as removed."""
    rows = [row.split("\t") for row in _git(folder, "diff", "--numstat", before, after, "--", "locks").splitlines()]
    return sum(int(row[0]) for row in rows), sum(int(row[1]) for row in rows)


def name_of(requirement: Requirement) -> str:
    return str(canonicalize_name(requirement.name))


def _git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", "-C", str(folder), *words], check=True, capture_output=True, text=True).stdout
