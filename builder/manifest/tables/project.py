"""`[project]`: what holds for every image."""

from __future__ import annotations

from typing import Final

from builder import compression
from builder.manifest.fragments import NAME, PLATFORMS, TEXT, listed, table
from builder.manifest.shape import Schema

_PAGE: Final[Schema] = {
    "type": "string",
    "title": "an http or https URL without user and password",
    # Images are public, so no credential may come in here.
    "pattern": r"^https?://[A-Za-z0-9.:\[\]-]+(/[!-~]*)?$",
    "examples": ["https://git.example.com/notebooks"],
}

PROJECT: Final = table(
    "What holds for every image.",
    {
        "name": {**NAME, "description": "The project's name.", "examples": ["notebooks"]},
        "platforms": {**PLATFORMS, "description": "What images are built for, in this order."},
        "repository": {
            "type": "string",
            "description": "Where images are pushed to.",
            "default": "{image}",
            "title": "an image repository with {image} in it, without a tag",
            "pattern": r"^([a-z0-9.-]+(:[0-9]+)?/)?([a-z0-9._-]+/)*[a-z0-9._-]*\{image\}[a-z0-9._-]*$",
            "examples": ["registry.example.com/notebook-servers/{image}"],
        },
        "version": {
            "type": "string",
            "description": "The family's own version, for tags.",
            "title": "a version",
            "pattern": r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$",
            "examples": ["2026.11"],
        },
        "tags": listed(
            {
                "type": "string",
                "title": "a tag, perhaps with {version}, {time}, {revision} or {key} in it",
                "pattern": r"^([A-Za-z0-9_.-]|\{(version|time|revision|key)\})+$",
                "examples": ["{version}", "{time}-{revision}"],
            },
            "Tags that images are pushed under: {version} as above; {time} and {revision} of the commit, so that tags "
            'sort by age; {key} of what is pushed, which another content changes. ["{key}"] by default.',
        ),
        "plain-http": listed(
            {
                "type": "string",
                "title": "a registry's host, perhaps with a port",
                "pattern": r"^[A-Za-z0-9.-]+(:[0-9]+)?$",
                "examples": ["registry.local:5000"],
            },
            "Registries that are pushed to without TLS; those on this machine are anyway.",
        ),
        "exclude-newer": {
            "description": "One cutoff for every ecosystem: nothing published after it is locked. A number of days is "
            "midnight (UTC) so many days before the day on which it is asked.",
            "title": "a date and time in UTC, without quotes, or a number of days",
            "anyOf": [
                {
                    "type": "string",
                    "format": "date-time",
                    "title": "a date and time in UTC, without quotes",
                    "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|z|\+00:00)$",
                    "examples": ["2026-11-01T00:00:00Z"],
                },
                {
                    "type": "string",
                    "title": "a number of days",
                    "pattern": r"^[1-9][0-9]{0,3} days?$",
                    "examples": ["3 days"],
                },
            ],
        },
        "exempt": listed(
            {
                "type": "string",
                "title": "a package's name",
                "pattern": r"^[A-Za-z0-9][A-Za-z0-9._+-]*$",
                "examples": ["urllib3"],
            },
            "Packages that may be newer than exclude-newer, such as a security fix.",
        ),
        "resolver": {
            "type": "string",
            "description": "Who resolves pip's requests; pip-tools can do so for the running Python only.",
            "enum": ["uv", "pip-tools"],
            "default": "uv",
        },
        "source": {**_PAGE, "description": "Where the images' source is, for bots and people who read images."},
        "documentation": {**_PAGE, "description": "Where to read about the images."},
        "vendor": {**TEXT, "description": "Who distributes the images.", "title": "a name"},
        "licenses": {
            **TEXT,
            "description": "What the images are licensed under.",
            "title": "an SPDX license expression",
            "examples": ["BSD-3-Clause AND GPL-2.0-or-later"],
        },
        "compression": {
            "type": "string",
            "description": "How layers are compressed: docs/layers.md says when to choose which. Another one "
            "builds every layer anew.",
            "enum": list(compression.names()),
            "default": compression.DEFAULT,
        },
    },
    "name",
    "platforms",
)
