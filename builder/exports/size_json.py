"""What makes an image big as JSON, for programs; docs/diff.md says what each key is."""

from __future__ import annotations

import json

from builder.difference import total
from builder.digest import Json
from builder.weight import Heap, Weighed, Weight

SCHEMA = 1
"""Raised if a key is removed or gets another meaning; new keys may come at any time."""


def render(weighed: Weighed) -> str:
    """The text, indented."""
    own = weighed.target.partition(":")[0]
    found: Json = {
        "schema": SCHEMA,
        "target": weighed.target,
        "disk": weighed.size,
        "compressed": total(weighed.layers),
        "covered": weighed.covered,
        "packages": [_package(weighed, one) for one in weighed.packages],
        "layers": [
            {
                "name": layer.name,
                "digest": layer.digest,
                "image": layer.image,
                "inherited": layer.image != own,
                "compressed": layer.size,
                "raw": layer.raw,
                "disk": content,
            }
            for layer, content in zip(weighed.layers, weighed.contents, strict=True)
        ],
        "folders": [_heap(one) for one in weighed.folders],
        "files": [{**_heap(one), "owner": one.owner} for one in weighed.files],
    }
    return json.dumps(found, indent=2) + "\n"


def _package(weighed: Weighed, one: Weight) -> Json:
    return {
        "image": one.image,
        "kind": one.kind,
        "name": one.name,
        "package": one.owned,
        "disk": one.size,
        "files": one.files,
        "layers": [weighed.layers[number].digest for number in one.layers],
    }


def _heap(one: Heap) -> dict[str, Json]:
    return {"path": f"/{one.path}", "disk": one.size}
