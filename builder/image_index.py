"""The `index.json` of an OCI image layout: which manifests and indexes have which names (OCI image-spec v1.1,
image-layout.md). What other tools wrote in it stays as it is."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from builder.digest import Json, canonical

LAYOUT = canonical({"imageLayoutVersion": "1.0.0"})
"""What `oci-layout` holds."""
EMPTY = canonical({"schemaVersion": 2, "manifests": []})
_NAME = "org.opencontainers.image.ref.name"


def parsed(data: bytes) -> dict[str, Any] | None:
    """The index; None if it is damaged."""
    try:
        index = dict(json.loads(data))
        if index["manifests"] is None:
            index["manifests"] = []  # As tools in Go write an empty list: umoci, when the last tag is gone.
        if isinstance(index["manifests"], list):
            return index
    except (ValueError, KeyError, TypeError):
        pass
    return None


def tagged(index: Mapping[str, Any], called: str, descriptor: Mapping[str, Json]) -> bytes:
    """The index in which `called` means this manifest or index; sorted by name."""
    kept: list[dict[str, Any]] = [one for one in index["manifests"] if name(one) != called]
    kept.append({**descriptor, "annotations": {_NAME: called}})
    kept.sort(key=lambda one: name(one) or "")
    return canonical({**index, "manifests": kept})


def without(index: Mapping[str, Any], digests: Collection[str]) -> bytes:
    """The index without all that names these digests."""
    return canonical({**index, "manifests": [one for one in index["manifests"] if digest(one) not in digests]})


def tags(index: Mapping[str, Any]) -> dict[str, str]:
    """Every tag, with the digest of what it names."""
    return {called: digest(one) for one in index["manifests"] if (called := name(one)) is not None}


def digest(row: Mapping[str, Any]) -> str:
    """What an entry names."""
    return str(row.get("digest", ""))


def name(row: Mapping[str, Any]) -> str | None:
    """The tag of an entry; None if it has none."""
    found: str | None = row.get("annotations", {}).get(_NAME)
    return found
