"""`[audit]`: advisories that are known about, and accepted for a while."""

from __future__ import annotations

from typing import Final

from builder.manifest.fragments import TEXT, listed, table

AUDIT: Final = table(
    "What `stackbuild audit` takes as known.",
    {
        "accept": listed(
            table(
                "An advisory that is accepted for a while.",
                {
                    "id": {
                        "type": "string",
                        "title": "an advisory's id, or another name of it",
                        "pattern": r"^[A-Za-z0-9][A-Za-z0-9._:+-]*$",
                        "examples": ["CVE-2026-12345"],
                    },
                    "reason": {**TEXT, "title": "why", "pattern": r"^[^\u0000-\u001f\u007f]+$"},
                    "until": {
                        "type": "string",
                        "title": "the last day on which this holds, as 2027-01-01",
                        "pattern": r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$",
                        "format": "date",
                    },
                    "package": {
                        "type": "string",
                        "title": "a package's name",
                        "pattern": r"^@?[A-Za-z0-9][A-Za-z0-9._+/-]*$",
                        "examples": ["openssl"],
                        "description": "Only of this package.",
                    },
                    "images": listed(
                        {"type": "string", "title": "the name of an image", "x-names": "images"},
                        "Only where the locks of these images have the package; their children inherit it.",
                    ),
                },
                "id",
                "reason",
                "until",
            ),
            "Advisories that do not count as open, each with a reason and a last day.",
            unique=False,
        ),
    },
)
