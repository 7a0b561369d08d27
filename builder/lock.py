"""Pins and locks: what one image adds to its parent, in one ecosystem, for one target.

The text form belongs to each kind, because people and scanners read the native formats; what every kind has in
common stands here.
"""

from __future__ import annotations

from dataclasses import dataclass

from builder.digest import Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """One file, chosen for one target.

    Attributes:
        kind: the kind whose business it is where the file may be fetched: `apt`, `pip`.
        name: normalised name of the package in its ecosystem (PEP 503 for pip, the binary package for apt).
        version: as the ecosystem writes it.
        filename: apt: path below the archive (`pool/main/…`); pip: the wheel's or sdist's file name.
        digest: sha256 of the file.
        size: bytes of the file.
        source: the archive's, index's or channel's name in the stacks manifest; never a URL.
        via: who asked for it, sorted: package names, or `stacks.toml` for a direct request.
        fields: what else the ecosystem's own format says, in that format's order (apt: Depends, …).
    """

    kind: str
    name: str
    version: str
    filename: str
    digest: Digest
    size: int
    source: str = ""
    via: tuple[str, ...] = ()
    fields: tuple[tuple[str, str], ...] = ()

    def field(self, name: str, default: str = "") -> str:
        """The value of one field of `fields`, `default` where it has none."""
        for key, value in self.fields:
            if key == name:
                return value
        return default


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """The pins that answer one request.

    Attributes:
        request: the normalised request as sorted text, one item a line; never a digest of it.
        pins: sorted by name, each name once.
    """

    request: tuple[str, ...]
    pins: tuple[Pin, ...]

    def pin(self, name: str) -> Pin | None:
        """The pin of that name, if the lock has it."""
        return next((pin for pin in self.pins if pin.name == name), None)
