"""oci: an image of a registry, or of an OCI layout on disk, as the root of a family."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from builder.manifest.shape import Schema

PLACE: Final = -10
KEYS: Final[Mapping[str, Schema]] = {}  # All it needs is `from` and the layout.
SHARED: Final = ()
LOCKS: Final = {"oci": ".oci.toml", "inherited": ".inherited.toml"}
