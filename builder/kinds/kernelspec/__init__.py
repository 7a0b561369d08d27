"""kernelspec: what a gateway reads to start kernels in containers of other images, which it names by their digests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from builder.manifest.fragments import TEXT, requests, table
from builder.manifest.shape import Schema

PLACE: Final = 55
EDGES: Final = ("kernelspecs",)

READERS: Final = ("eg-kubernetes", "eg-docker", "gp-kubernetes", "gp-docker")
"""Who reads a kernel.json: Enterprise Gateway's process proxies, Gateway Provisioners' provisioners."""

_ITEM: Final = table(
    "A kernel image, and how it is offered.",
    {
        "image": {
            "type": "string",
            "description": "The kernel image, built from this manifest and named by its digest.",
            "x-names": "images",
        },
        "variant": {
            "type": "string",
            "description": "Its variant; where not given, the same as of this image, else the plain one.",
            "x-names": "variants",
        },
        "for": {"type": "string", "description": "Who starts the kernel, and where.", "enum": list(READERS)},
        "name": {
            "type": "string",
            "description": "What requests and allow-lists call it: the folder's name.",
            "title": "lower-case letters, digits, dots, dashes and underscores",
            # As jupyter_client's `_is_valid_kernel_name`, which lists R_docker as r_docker, without hidden folders.
            "pattern": r"^[a-z0-9_][a-z0-9._-]{0,62}$",
            "examples": ["python_docker"],
        },
        "display": {
            **TEXT,
            "description": "What users choose; where not given, the kernel image's description.",
            "examples": ["Python 3 (in a container)"],
        },
    },
    "image",
    "for",
    "name",
)

KEYS: Final[Mapping[str, Schema]] = {
    "kernelspecs": requests(
        _ITEM, "Kernelspecs of other images, in /usr/local/share/jupyter/kernels, each with its launcher."
    ),
}
SHARED: Final = ("kernelspecs",)
