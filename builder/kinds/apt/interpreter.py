"""The interpreter that apt pins bring: its packages alone, unpacked beside any root.

Bytecode and sdists need the image's Python, not the image: a closure of some 20 packages, whose key changes only when
one of them does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from builder.digest import Digest, key
from builder.errors import StackbuildError
from builder.lock import Pin

_NAME = re.compile(r"python(3\.\d+)-minimal")


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """A Python from apt.

    Attributes:
        version: with its patch level, `3.11.2`.
        pins: the packages it needs to run, sorted by name.
    """

    version: str
    pins: tuple[Pin, ...]

    @property
    def short(self) -> str:
        """`3.11`."""
        return ".".join(self.version.split(".")[:2])

    @property
    def key(self) -> Digest:
        return key({"kind": "interpreter", "kind_version": 1, "inputs": {pin.name: pin.digest for pin in self.pins}})


def find(pins: Mapping[str, Pin], where: str) -> Interpreter:
    """The interpreter among apt pins, an image's own and inherited.

    Raises:
        StackbuildError: none is there.
    """
    for name in sorted(pins):
        if match := _NAME.fullmatch(name):
            version = pins[name].version.rpartition(":")[2]
            upstream = re.match(r"\d+\.\d+\.\d+", version)
            if upstream and f"python{match[1]}" in pins:
                names = _closure(pins, f"python{match[1]}")
                return Interpreter(version=upstream[0], pins=tuple(pins[one] for one in sorted(names)))
    raise StackbuildError(
        f"no Python for pip: {where}",
        expected="python3 among the apt packages of the image or an ancestor",
        next_step='add "python3" to its apt list, then: stackbuild lock',
    )


def _closure(pins: Mapping[str, Pin], name: str) -> set[str]:
    """A package and all that its Depends and Pre-Depends name, of alternatives those that are pinned."""
    found: set[str] = set()
    todo = [name]
    while todo:
        one = todo.pop()
        if one in found or one not in pins:
            continue
        found.add(one)
        for relation in ("Depends", "Pre-Depends"):
            text = pins[one].field(relation)
            todo += [
                re.split(r"[ (:]", word.strip(), maxsplit=1)[0] for word in re.split(r"[,|]", text) if word.strip()
            ]
    return found
