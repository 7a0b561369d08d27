"""account: the user, groups and home that an image's layout asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from builder.manifest.shape import Schema

PLACE: Final = 0
KEYS: Final[Mapping[str, Schema]] = {}  # All it needs is the layout.
SHARED: Final = ()
