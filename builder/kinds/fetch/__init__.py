"""fetch: files and archives from URLs, locked by digest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from builder.manifest.fragments import NAME, listed, named, requests, table
from builder.manifest.shape import Schema

PLACE: Final = 50

# No user, password or query: a lock names the URL, and never holds a credential.
_TEMPLATE: Final = r"\{(version|arch|machine)\}"
_PATH: Final = rf"(/([A-Za-z0-9._~!$+,;=:@%-]|{_TEMPLATE})*)*"
_URL: Final = rf"https?://[A-Za-z0-9.:\[\]-]+{_PATH}"

_GLOB: Final[Schema] = {
    "type": "string",
    "title": "a path below the archive's root, where * stands for a part of a name and ** for any folders",
    "pattern": r"^(?!/)[^\u0000-\u001f\\]+$",
    "examples": ["bin/*"],
}
_ITEM: Final = table(
    "A file or an archive, and where it goes.",
    {
        "name": {**NAME, "description": "What it is called.", "examples": ["kubectl"]},
        "version": {
            "type": "string",
            "description": "Its version, `{version}` in the URLs.",
            "title": "letters, digits, dots, pluses, tildes, dashes and underscores",
            "pattern": r"^[A-Za-z0-9][A-Za-z0-9.+~_-]*$",
            "examples": ["1.31.0"],
        },
        "url": {
            "type": "string",
            "description": "Where it is; `{arch}` is amd64 or arm64, `{machine}` x86_64 or aarch64.",
            "title": "an http or https URL without user, password and query, with {version}, {arch}, {machine}",
            "pattern": rf"^{_URL}$",
            "examples": ["https://dl.k8s.io/v{version}/bin/linux/{arch}/kubectl"],
        },
        "sha256-url": {
            "type": "string",
            "description": "Where its publisher tells its sha256, as sha256sum writes it or alone.",
            "title": "a URL as of the file itself, which `{url}` stands for",
            "pattern": rf"^({_URL}|\{{url\}}[A-Za-z0-9._-]*)$",
            "examples": ["{url}.sha256"],
        },
        "machines": named(
            "What `{machine}` is on a platform, where the publisher has names of its own.",
            {
                "type": "string",
                "title": "letters, digits, dots, dashes and underscores",
                "pattern": r"^[A-Za-z0-9._-]+$",
                "examples": ["x64"],
            },
            {"type": "string", "title": "a platform", "enum": ["linux/amd64", "linux/arm64"]},
        ),
        "format": {
            "type": "string",
            "description": "What it is; where not given, its name's ending tells: .tar.gz, .tgz, .zip, .deb, else raw.",
            "enum": ["raw", "tar", "zip", "deb"],
        },
        "strip": {
            "type": "integer",
            "minimum": 0,
            "maximum": 20,
            "description": "How many leading folders of the archive's paths are left out.",
            "default": 0,
        },
        "include": listed(_GLOB, "The only files and folders of the archive that are taken; after strip."),
        "exclude": listed(_GLOB, "Files and folders of the archive that are left out; after strip."),
        "to": {
            "type": "string",
            "description": "Where it goes: a folder, with a slash at its end, or the path of the one file.",
            "title": "an absolute path without `.`, `..` and blanks; of a folder with a slash at its end",
            "pattern": r"^(/|(/(?!\.\.?(/|$))[A-Za-z0-9._+@-]+)+/?)$",
            "examples": ["/usr/local/bin/kubectl", "/opt/spark/"],
        },
        "mode": {
            "type": "string",
            "description": "Mode of its files. Where not given, 0644, or 0755 for what an archive has as a program.",
            "title": "three or four octal digits, after a zero or not",
            "pattern": r"^0?[0-7]{3,4}$",
            "examples": ["0755"],
        },
        "owner": {
            "type": "string",
            "description": "Whom the files belong to: root, or the layout's user.",
            "enum": ["root", "user"],
            "default": "root",
        },
    },
    "name",
    "version",
    "url",
    "to",
)

KEYS: Final[Mapping[str, Schema]] = {
    "fetch": requests(_ITEM, "Files and archives from URLs; one replaces another of its name."),
}
SHARED: Final = ("fetch",)
LOCKS: Final = {"fetch": ".sources.toml"}
