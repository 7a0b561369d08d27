"""`[layouts.NAME]`: who owns what in a family."""

from __future__ import annotations

from typing import Final

from builder.manifest.fragments import ABSOLUTE, CONTRACT, ID, listed, table

LAYOUT: Final = table(
    "Who owns what in a family of images; NB_USER, NB_UID, NB_GID and HOME follow from it.",
    {
        "user": {
            "type": "string",
            "description": "Name of the user that the image runs as.",
            "title": "a user's name: lower-case letters, digits, dashes, at most 32",
            "pattern": r"^[a-z_][a-z0-9_-]{0,31}$",
            "examples": ["jovyan"],
        },
        "uid": {**ID, "description": "Number of the user."},
        "gid": {**ID, "description": "Number of the user's primary group."},
        "groups": listed(ID, "Numbers of the user's other groups."),
        "home": {**ABSOLUTE, "description": "The user's home."},
        "home-template": {
            **ABSOLUTE,
            "description": "A copy of the home, from which a first start fills an empty volume (HOME_TMP).",
            "examples": ["/tmp_home/jovyan"],
        },
        "folders": listed(
            {
                "type": "string",
                "title": "a folder's name",
                "pattern": r"^[A-Za-z0-9_][A-Za-z0-9._-]*$",
                "examples": ["work"],
            },
            "Folders that are in the home from the beginning, with its owner and mode.",
        ),
        "check": listed(CONTRACT, "Contracts that images of this layout keep."),
    },
    "user",
    "uid",
    "gid",
    "home",
)
