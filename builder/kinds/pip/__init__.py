"""pip: Python packages from wheels, laid by us into a virtual environment or beside conda's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from builder.manifest.fragments import ABSOLUTE, listed, requests, table
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

_PACKAGE: Final[Schema] = {
    "type": "string",
    "title": "the name of a Python package, without a version",
    "pattern": rf"^{_NAME}$",
}
_REASON: Final[Schema] = {
    "type": "string",
    "title": "a sentence that says why, on one line",
    "description": "Why; it is printed by `stackbuild lock` and `stackbuild build`.",
    "pattern": r"^[^\u0000-\u001f\u007f]*[^\u0000-\u0020\u007f][^\u0000-\u001f\u007f]*$",
}

KEYS: Final[Mapping[str, Schema]] = {
    "python": table(
        "Where this image and its children have their Python packages.",
        {
            "from": {
                "type": "string",
                "description": "What brings the interpreter: `apt`, the python3 of the image's archive, `conda`, or "
                "`oci`, the base image, which has it at `prefix` already.",
                "enum": ["apt", "conda", "oci"],
            },
            "prefix": {
                **ABSOLUTE,
                "description": "With apt: the virtual environment, whose bin folder comes first in PATH. "
                "With conda it is conda's own prefix.",
                "examples": ["/opt/venv"],
            },
        },
        "from",
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
    "constraints": requests(
        {
            "type": "string",
            "title": "a Python package with versions but without extras, markers or a URL",
            "pattern": rf"^{_NAME} ?{_CLAUSE}( ?, ?{_CLAUSE})*$",
            "examples": ["numpy<2.5"],
        },
        "Limits on versions of Python packages that request nothing by themselves.",
    ),
    "without": listed(
        table(
            "A Python package that is left out, though others require it.",
            {"package": {**_PACKAGE, "examples": ["nvidia-nccl-cu12"]}, "reason": _REASON},
            "package",
            "reason",
        ),
        "Python packages that this image and its children leave out, though others require them.",
        unique=False,
    ),
    "prefer": listed(
        table(
            "Which of two packages brings a file that both have, with other content.",
            {
                "path": {
                    "type": "string",
                    "title": "a path below site-packages, or an absolute one",
                    "pattern": r"^/?(?!\.\.?(/|$))[A-Za-z0-9._+@-]+(/(?!\.\.?(/|$))[A-Za-z0-9._+@-]+)*$",
                    "examples": ["nvidia/nccl/lib/libnccl.so.2"],
                },
                "package": {**_PACKAGE, "description": "The package whose file it is to be."},
                "over": {
                    **_PACKAGE,
                    "description": "The package that goes without it; any other where it is not said.",
                },
                "reason": _REASON,
            },
            "path",
            "package",
            "reason",
        ),
        "Files that two packages bring with other content, and whose they are to be.",
        unique=False,
    ),
    "override": listed(
        table(
            "A Python package of an ancestor that is replaced here, for a while.",
            {
                "pip": {
                    "type": "string",
                    "title": "a Python package with one exact version",
                    "pattern": rf"^{_NAME}(\[{_NAME}(, ?{_NAME})*\])? ?== ?{_VERSION}{_LOCAL}$",
                    "examples": ["numpy==1.26.4"],
                },
                "reason": _REASON,
                "until": {
                    "type": "string",
                    "title": "the last day on which this holds, as 2027-01-01",
                    "pattern": r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$",
                    "format": "date",
                },
            },
            "pip",
            "reason",
            "until",
        ),
        "Pins of ancestors that are replaced for this image and its children, each with a reason and a last day.",
        unique=False,
    ),
    "index": {
        "type": "string",
        "description": "The package index that the requests beside it come from.",
        "default": "pypi",
        "x-names": "indexes",
    },
}
SHARED: Final = ("pip", "sdists", "constraints", "without", "prefer", "index")
LOCKS: Final = {"pip": ".pip.txt", "pip-build": ".pip-build.txt"}
