"""Manifests and indexes as registries name and send them; what only reads them needs no HTTP library."""

from __future__ import annotations

from dataclasses import dataclass

from builder.digest import Digest

INDEX_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFEST_TYPES = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A manifest or an index as it came. `digest` is that of `body`."""

    media_type: str
    digest: Digest
    body: bytes
