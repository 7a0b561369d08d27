"""conda: packages from channels, in one environment of the image, laid by us."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from builder.manifest.fragments import ABSOLUTE, NAME, listed, requests
from builder.manifest.shape import Schema

PLACE: Final = 20

# CEP 26 (names, builds) and conda's version ordering; two underscores begin a virtual package, which nobody installs.
_NAME: Final = r"(?!__)[a-z0-9_]([a-z0-9._-]*[a-z0-9_])?"
_VERSION: Final = r"[0-9A-Za-z]([0-9A-Za-z._!+]*[0-9A-Za-z])?"
_EXACT: Final = rf" ?(=={_VERSION}|={_VERSION}(\.\*)?)(=[0-9A-Za-z._+*]+)?"
_CLAUSE: Final = rf"((>=|<=|>|<|~=|==) ?{_VERSION}|!= ?{_VERSION}(\.\*)?)"
_REQUEST: Final = rf"^{_NAME}({_EXACT}| ?{_CLAUSE}( ?[,|] ?{_CLAUSE})*)?$"

KEYS: Final[Mapping[str, Schema]] = {
    "conda": {
        **requests(
            {
                "type": "string",
                "title": "a conda package: name, name==version, name=1.2.*, name>=1,<2 or name==version=build",
                "pattern": _REQUEST,
                "examples": ["python==3.12.11", "numpy>=2,<3", "pytorch==2.12.0=cuda*"],
            },
            "conda packages to install.",
        ),
        "x-needs": "channels",
    },
    "channels": {
        **listed(
            {**NAME, "title": "the name of a conda channel", "examples": ["conda-forge"]},
            "Channels that conda packages come from, of this image and its children; the first that has a package "
            "of some name is the only one for it.",
        ),
        "minItems": 1,
    },
    "conda-prefix": {
        **ABSOLUTE,
        "description": "Where this image and its children have their conda packages.",
        "default": "/opt/conda",
        "examples": ["/opt/conda"],
    },
    "conda-scripts": requests(
        {
            "type": "string",
            "title": "the name of a conda package, without a version",
            "pattern": rf"^{_NAME}$",
            "examples": ["font-ttf-ubuntu"],
        },
        "Packages whose post-link scripts may run, in the sandbox; all others must have none.",
    ),
}
SHARED: Final = ("conda", "channels", "conda-scripts")
LOCKS: Final = {"conda": ".conda-lock.yml"}
