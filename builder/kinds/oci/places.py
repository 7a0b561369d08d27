"""Where a base image's blobs are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from builder.kinds.oci.source import Source, open_source
from builder.lock import Pin
from builder.manifest.model import Manifest
from builder.net import Client


def finder(manifest: Manifest, client: Client, environ: Mapping[str, str]) -> Callable[[Pin], Sequence[str]]:
    """The one place of each pin: the repository, or the folder, that its lock names."""
    known: dict[tuple[str, str], Source] = {}

    def urls(pin: Pin) -> Sequence[str]:
        key = (pin.field("host"), pin.field("repository"))
        if key not in known:
            known[key] = open_source(*key, client, manifest.folder, environ)
        return (known[key].url(pin.digest),)

    return urls
