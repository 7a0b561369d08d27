"""apt: Debian packages, unpacked by us and configured by the image's own dpkg."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from builder.manifest.fragments import listed, requests
from builder.manifest.shape import Schema

PLACE: Final = 10

# Debian Policy 5.6.1 (names) and 5.6.12 (versions).
_REQUEST: Final = r"^[a-z0-9][a-z0-9+.-]+(==([0-9]+:)?[0-9]([A-Za-z0-9.+~-]*[A-Za-z0-9.+~])?)?$"
# debconf-set-selections(1): owner, question, type, value.
_PRESEED: Final = (
    r"^[A-Za-z0-9][A-Za-z0-9+.-]* [!-~]+ "
    r"(boolean|error|multiselect|note|password|select|string|text|title)( [^\u0000-\u001f\u007f]*)?$"
)

KEYS: Final[Mapping[str, Schema]] = {
    "apt": requests(
        {
            "type": "string",
            "title": "a Debian package, name or name==version",
            "pattern": _REQUEST,
            "examples": ["curl", "git==1:2.39.5-0+deb12u2"],
        },
        "Debian packages to install, from the archive that the root image is built from.",
    ),
    "debconf": listed(
        {
            "type": "string",
            "title": "owner, question, type and value, each parted by one space",
            "pattern": _PRESEED,
            "examples": ["locales locales/default_environment_locale select en_US.UTF-8"],
        },
        "Answers to the questions of package scripts, as debconf-set-selections takes them.",
    ),
    "recommends": {
        "type": "boolean",
        "description": "Whether what the packages only recommend is installed too.",
        "default": False,
    },
}
SHARED: Final = ("apt", "debconf")
LOCKS: Final = {"apt": ".apt.lock"}
