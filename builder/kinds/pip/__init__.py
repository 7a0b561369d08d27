"""pip: Python packages in a virtual environment, from wheels laid by us."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from builder.manifest.fragments import ABSOLUTE, requests, table
from builder.manifest.shape import Schema

PLACE: Final = 30

_NAME: Final = r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?"
# Versions as PEP 440 writes them once normalised, but for zeros in front, which some projects publish.
_SUFFIX: Final = r"((a|b|rc)[0-9]+)?(\.post[0-9]+)?(\.dev[0-9]+)?"
_VERSION: Final = rf"([0-9]+!)?[0-9]+(\.[0-9]+)*{_SUFFIX}"
_LOCAL: Final = r"(\+[a-z0-9]+(\.[a-z0-9]+)*)?"
_CLAUSE: Final = (
    rf"((==|!=) ?({_VERSION}{_LOCAL}|([0-9]+!)?[0-9]+(\.[0-9]+)*\.\*)"
    rf"|(<=|>=|<|>) ?{_VERSION}"
    rf"|~= ?([0-9]+!)?[0-9]+(\.[0-9]+)+{_SUFFIX})"
)
# PEP 508 without markers and URLs: a target has its own `on` and platforms, and a URL could not be locked.
_REQUEST: Final = rf"^{_NAME}(\[{_NAME}(, ?{_NAME})*\])?( ?{_CLAUSE}( ?, ?{_CLAUSE})*)?$"

KEYS: Final[Mapping[str, Schema]] = {
    "python": table(
        "Where this image and its children have their Python packages.",
        {
            "from": {
                "type": "string",
                "description": "What brings the interpreter: `apt`, the python3 of the image's archive.",
                "enum": ["apt"],
            },
            "prefix": {
                **ABSOLUTE,
                "description": "The virtual environment, whose bin folder comes first in PATH.",
                "examples": ["/opt/venv"],
            },
        },
        "from",
        "prefix",
    ),
    "pip": {
        **requests(
            {
                "type": "string",
                "title": "a Python package, with extras and versions but without markers or a URL",
                "pattern": _REQUEST,
                "examples": ["numpy==2.4.6", "uvicorn[standard]>=0.30,<1"],
            },
            "Python packages to install.",
        ),
        "x-needs": "python",
    },
    "sdists": requests(
        {
            "type": "string",
            "title": "the name of a Python package, without a version",
            "pattern": rf"^{_NAME}$",
            "examples": ["kfp-server-api"],
        },
        "Packages that may be built from a source archive; all others must have a wheel.",
    ),
    "index": {
        "type": "string",
        "description": "The package index that the requests beside it come from.",
        "default": "pypi",
        "x-names": "indexes",
    },
}
SHARED: Final = ("pip", "sdists", "index")
LOCKS: Final = {"pip": ".pip.txt", "pip-build": ".pip-build.txt"}
