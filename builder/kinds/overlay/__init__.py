"""overlay: files of the project, laid verbatim."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from builder.digest import Json
from builder.manifest.fragments import RELATIVE, requests, table
from builder.manifest.shape import Schema

PLACE: Final = 60

_FOLDER: Final[Schema] = {**RELATIVE, "description": "A folder below overlays/."}
_ITEM: Final[Schema] = {
    "title": "the name of a folder, or a table with name and owner",
    "anyOf": [
        _FOLDER,
        table(
            "A folder, and whom its files belong to.",
            {
                "name": _FOLDER,
                "owner": {
                    "type": "string",
                    "description": "Whom the files belong to: root, or the layout's user.",
                    "enum": ["root", "user"],
                    "default": "root",
                },
            },
            "name",
        ),
    ],
}

KEYS: Final[Mapping[str, Schema]] = {
    "overlays": requests(_ITEM, "Folders below overlays/ that are laid onto the image, later ones over earlier."),
}
SHARED: Final = ()


def reads(asked: Mapping[str, Json]) -> Iterator[str]:
    """The folders of the project that these requests lay."""
    found = asked.get("overlays", ())
    assert isinstance(found, tuple)
    for one in found:
        yield f"overlays/{one['name'] if isinstance(one, Mapping) else one}"
