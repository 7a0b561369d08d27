"""`[archives.NAME]`: Debian archives."""

from __future__ import annotations

from typing import Final

from builder.manifest.fragments import RELATIVE, listed, table

ARCHIVE: Final = table(
    "A Debian archive.",
    {
        "suites": {
            **listed(
                {
                    "type": "string",
                    "title": "a suite of the archive",
                    "pattern": r"^[a-z0-9][a-z0-9.+-]*(/[a-z0-9][a-z0-9.+-]*)*$",
                    "examples": ["bookworm", "bookworm-security"],
                },
                "Suites to take packages from.",
            ),
            "minItems": 1,
        },
        "components": {
            **listed(
                {
                    "type": "string",
                    "title": "a component of the archive",
                    "pattern": r"^[a-z0-9][a-z0-9-]*$",
                    "examples": ["main", "non-free-firmware"],
                },
                "Components to take packages from.",
            ),
            "minItems": 1,
            "default": ["main"],
        },
        "keyring": {
            **RELATIVE,
            "description": "Keys that sign the archive: one of stackbuild's, or a file of the project.",
            "examples": ["debian", "keys/team.gpg"],
            "default": "debian",
        },
    },
    "suites",
)
