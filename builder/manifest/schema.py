"""What may stand in `stacks.toml`: one declaration that both validates it and completes it in an editor.

Each table is declared in its own file (`tables/`), an image's ecosystem keys by their kinds (`builder.kinds`).
"""

from __future__ import annotations

import json
from typing import cast

from builder.digest import Json
from builder.manifest.fragments import named, table
from builder.manifest.shape import Schema
from builder.manifest.tables.archive import ARCHIVE
from builder.manifest.tables.audit import AUDIT
from builder.manifest.tables.cache import CACHE
from builder.manifest.tables.image import image, package_set
from builder.manifest.tables.layout import LAYOUT
from builder.manifest.tables.place import CHANNEL, INDEX
from builder.manifest.tables.project import PROJECT
from builder.manifest.tables.retention import RETENTION
from builder.manifest.tables.variant import VARIANT


def declaration() -> Schema:
    """The whole of `stacks.toml` as a schema that `shape.findings` takes."""
    return table(
        "Images, and what they are made of.",
        {
            "project": PROJECT,
            "cache": CACHE,
            "retention": RETENTION,
            "audit": AUDIT,
            "archives": named("Debian archives by name.", ARCHIVE),
            "indexes": named("Python package indexes by name: URLs. `pypi` is always there.", INDEX),
            "channels": named("Conda channels by name: URLs. `conda-forge` is always there.", CHANNEL),
            "layouts": named("Layouts by name.", LAYOUT),
            "variants": named("Variants by name. `cpu`, the plain one, is always there.", VARIANT),
            "sets": named("Sets of requests by name.", package_set()),
            "images": named("Images by name.", image()),
        },
        "project",
        "images",
    )


def schema() -> Json:
    """The JSON Schema (draft 2020-12) of `stacks.toml`."""
    return cast(
        Json,
        {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "stacks.toml", **declaration()},
    )


def text() -> str:
    """The schema as `docs/stacks.schema.json` has it."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"
