"""Where a pinned file may be fetched: at its URL."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from builder.lock import Pin
from builder.manifest.model import Manifest
from builder.net import Client


def finder(manifest: Manifest, client: Client, environ: Mapping[str, str]) -> Callable[[Pin], Sequence[str]]:
    """URLs of any pin: the one that its lock names."""
    return lambda pin: (pin.field("url"),)
