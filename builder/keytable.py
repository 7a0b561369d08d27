"""Key tables: what a plan came to, kept so that nothing is planned twice.

A table has the targets of one image, and lies in the store under the digest of all that they are planned from
(`inputs.py`). Its text is lines of JSON: what the targets' keys are, then, read only when somebody asks, a line of
steps for each target. The first line is the sha256 of the rest: a table that was torn or edited counts as none.

    <sha256>
    {"cpu@linux/amd64": ["sha256:…", ["base:cpu@linux/amd64"]], …}
    [["sha256:…", "pip bucket-0 of …", 0.4, 2000, [["0f3a…", 1000], …]], …]
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from builder.digest import Digest, Json
from builder.manifest.model import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """An action, as far as its costs are concerned.

    Attributes:
        key: its plan key.
        name: for people.
        seconds: that performing it takes two cores, estimated from locks alone.
        disk: bytes, likewise.
        pins: sha256 of each pinned file that it takes, in hex → bytes.
    """

    key: Digest
    name: str
    seconds: float
    disk: int
    pins: Mapping[str, int]

    @property
    def size(self) -> int:
        """Bytes of the pinned files that it takes."""
        return sum(self.pins.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What one target came to.

    Attributes:
        key: the plan key of its image.
        above: the targets that it is built from or names; their steps are performed for it too.
        steps: its own.
    """

    key: Digest
    above: tuple[Target, ...]
    steps: tuple[Step, ...]


class KeyTable:
    """A table that was read; a target's steps are parsed when they are asked for."""

    def __init__(self, head: Mapping[Target, tuple[Digest, tuple[Target, ...]]], lines: Mapping[Target, bytes]) -> None:
        self._head = head
        self._lines = lines

    def __contains__(self, target: Target) -> bool:
        return target in self._head

    def targets(self) -> tuple[Target, ...]:
        return tuple(self._head)

    def key(self, target: Target) -> Digest:
        return self._head[target][0]

    def above(self, target: Target) -> tuple[Target, ...]:
        return self._head[target][1]

    def steps(self, target: Target) -> tuple[Step, ...]:
        return tuple(
            Step(key=Digest(key), name=name, seconds=seconds, disk=disk, pins=dict(pins))
            for key, name, seconds, disk, pins in json.loads(self._lines[target])
        )

    def row(self, target: Target) -> Row:
        key, above = self._head[target]
        return Row(key=key, above=above, steps=self.steps(target))


def dumps(rows: Mapping[Target, Row]) -> bytes:
    """The text of a table, whose targets are of one image."""
    head: Json = {str(target): [row.key, [str(one) for one in row.above]] for target, row in rows.items()}
    lines = [
        [[one.key, one.name, one.seconds, one.disk, list(one.pins.items())] for one in row.steps]
        for row in rows.values()
    ]
    body = "\n".join(json.dumps(one, separators=(",", ":")) for one in (head, *lines)).encode()
    return hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def loads(data: bytes) -> KeyTable | None:
    """A table; None where the text is not what `dumps` wrote."""
    seal, _, body = data.partition(b"\n")
    if hashlib.sha256(body).hexdigest().encode() != seal:
        return None
    first, *lines = body.split(b"\n")
    head = {
        Target.parse(text): (Digest(key), tuple(map(Target.parse, above)))
        for text, (key, above) in json.loads(first).items()
    }
    return KeyTable(head, dict(zip(head, lines, strict=True)))
