"""conda: its keys are reserved, so that a manifest which uses them is refused in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from builder.manifest.shape import Schema

PLACE: Final = 20

_RESERVED: Final[Schema] = {
    "not": {},
    "title": "no conda packages: conda comes with a later version",
    "description": "Reserved: conda comes with a later version.",
}

KEYS: Final[Mapping[str, Schema]] = {"conda": _RESERVED, "channels": _RESERVED}
SHARED: Final = ("conda", "channels")
