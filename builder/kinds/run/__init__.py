"""run: a script of the project, executed in the sandbox on all that lies below; what it changes is a layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from builder.digest import Json
from builder.manifest.fragments import NAME, TEXT, named, requests, table
from builder.manifest.shape import Schema

PLACE: Final = 70

_ITEM: Final = table(
    "A script, and how it is run.",
    {
        "name": {**NAME, "description": "What the step is called.", "examples": ["team-settings"]},
        "script": {
            "type": "string",
            "description": "The script; its first line says what executes it, else it is sh.",
            "title": "a file below scripts/ or overlays/",
            # Everything below these folders, and nothing else of the project, counts when a build looks for changes.
            "pattern": r"^(scripts|overlays)(/(?!\.\.?(/|$))[A-Za-z0-9_.+-]+)+$",
            "examples": ["scripts/team-settings.sh"],
        },
        "env": named(
            "Environment variables for the script, beside the image's own.",
            TEXT,
            {
                "type": "string",
                "title": "the name of an environment variable",
                "pattern": r"^[A-Za-z_][A-Za-z0-9_]*$",
                "examples": ["TEAM"],
            },
        ),
        "user": {
            "type": "string",
            "description": "Who runs it: root, or the layout's user.",
            "enum": ["root", "user"],
            "default": "root",
        },
        "network": {
            "type": "boolean",
            "description": "Whether it may use the network; only false is there yet.",
            "default": False,
        },
        "reads": {
            "type": "string",
            "description": "What of the image below it reads; all of it, so any change below runs it again.",
            "enum": ["all"],
            "default": "all",
        },
    },
    "name",
    "script",
)

KEYS: Final[Mapping[str, Schema]] = {
    "run": requests(_ITEM, "Scripts that run in the sandbox, last of all and in this order, without network."),
}
SHARED: Final = ("run",)


def reads(asked: Mapping[str, Json]) -> Iterator[str]:
    """The scripts of the project that these requests run."""
    found = asked.get("run", ())
    assert isinstance(found, tuple)
    for one in found:
        assert isinstance(one, Mapping)
        yield str(one["script"])
