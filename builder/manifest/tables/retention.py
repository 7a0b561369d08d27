"""`[retention]`: what a collection of garbage keeps."""

from __future__ import annotations

from typing import Final

from builder.manifest.fragments import table

RETENTION: Final = table(
    "What `stackbuild gc` keeps beside what the locks say now.",
    {
        "days": {
            "type": "integer",
            "description": "For how long: releases, entries of the remote cache, what a project built whose manifest "
            "is gone, and what locking remembers.",
            "minimum": 0,
            "maximum": 36500,
            "default": 30,
        },
        "releases": {
            "type": "integer",
            "description": "So many of the newest releases of each image, whatever their age.",
            "minimum": 0,
            "maximum": 10000,
            "default": 10,
        },
    },
)
