"""Where a locked wheel or sdist may be fetched: wherever its index has it today."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from builder.kinds.pip.index import Indexes
from builder.lock import Pin
from builder.manifest.model import Manifest
from builder.net import Client


def finder(manifest: Manifest, client: Client, environ: Mapping[str, str]) -> Callable[[Pin], Sequence[str]]:
    """URLs of any pin, best first; each page of an index is asked for once."""
    return Indexes(client, manifest.indexes, environ).urls
