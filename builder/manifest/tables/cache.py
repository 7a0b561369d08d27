"""`[cache]`: a place through which machines share what they built."""

from __future__ import annotations

from typing import Final

from builder.manifest.fragments import listed, table

CACHE: Final = table(
    "A repository of a registry, through which machines share what they built.",
    {
        "place": {
            "type": "string",
            "description": "Where it is; --cache and STACKBUILD_CACHE name another one.",
            "title": "oci:// and a repository, without a tag",
            "pattern": r"^oci://[A-Za-z0-9.-]+(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+$",
            "examples": ["oci://registry.example.com/notebooks/cache"],
        },
        "trusted": {
            "type": "boolean",
            "description": "Whether whoever can write there is believed, without a signature.",
            "default": False,
        },
        "keys": listed(
            {
                "type": "string",
                "title": "an Ed25519 public key",
                "pattern": r"^ed25519:[A-Za-z0-9+/]{43}=$",
                "examples": ["ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="],
            },
            "Keys of those who fill it: one of them must have signed an entry.",
        ),
    },
)
