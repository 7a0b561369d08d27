"""`[variants.NAME]`: other hardware."""

from __future__ import annotations

from typing import Final

from builder.manifest.fragments import ENV, PLATFORMS, listed, named, table

VARIANT: Final = table(
    "A way of building the same image for other hardware.",
    {
        "platforms": {
            **PLATFORMS,
            "description": "The only platforms that have it; all of them where not given.",
        },
        "virtual": listed(
            {
                "type": "string",
                "title": "a virtual package as conda names them",
                "pattern": r"^__[a-z0-9_]+(==[A-Za-z0-9.]+)?$",
                "examples": ["__cuda==13.0"],
            },
            "What solvers may take the hardware to have; never detected on the building host.",
        ),
        "env": ENV,
        "indexes": named(
            "Packages that come from an index of their own in this variant: package = index.",
            {"type": "string", "title": "the name of an index", "x-names": "indexes"},
            {
                "type": "string",
                "title": "the name of a Python package",
                "pattern": r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$",
                "examples": ["torch"],
            },
        ),
    },
)
