"""npm: packages of Node.js, laid by us from npm's own lock; native modules are compiled in the sandbox."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from builder.manifest.fragments import ABSOLUTE, listed, requests, table
from builder.manifest.shape import Schema

PLACE: Final = 40

# validate-npm-package-name, capitals included, which old packages have.
_NAME: Final = r"(@[A-Za-z0-9~-][A-Za-z0-9._~-]*/)?[A-Za-z0-9~-][A-Za-z0-9._~-]*"
_PARTIAL: Final = r"[0-9]+(\.[0-9]+(\.[0-9]+(-[0-9A-Za-z.-]+)?)?)?"
_CLAUSE: Final = rf"(== ?[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?|(<=|>=|<|>) ?{_PARTIAL})"
_REQUEST: Final = rf"^{_NAME}( ?{_CLAUSE}( ?, ?{_CLAUSE})*)?$"
_NESTED: Final = rf"^{_NAME}(/[A-Za-z0-9_-][A-Za-z0-9._-]*)+$"
# Debian Policy 5.6.1 (names) and 5.6.12 (versions).
_APT: Final = r"^[a-z0-9][a-z0-9+.-]+(==([0-9]+:)?[0-9]([A-Za-z0-9.+~-]*[A-Za-z0-9.+~])?)?$"


def _names(description: str, example: str) -> Schema:
    one: Schema = {
        "type": "string",
        "title": "the name of an npm package, without a version",
        "pattern": rf"^{_NAME}$",
        "examples": [example],
    }
    return {**requests(one, description), "x-needs": "npm"}


KEYS: Final[Mapping[str, Schema]] = {
    "node": table(
        "Where this image and its children have their npm packages.",
        {
            "from": {
                "type": "string",
                "description": "What brings Node.js: `apt`, the nodejs of the image's archive.",
                "enum": ["apt"],
            },
            "prefix": {
                **ABSOLUTE,
                "description": "Packages lie in its `lib/node_modules`, their programs in its `bin`, which is in PATH.",
                "examples": ["/opt/npm"],
            },
        },
        "from",
        "prefix",
    ),
    "npm": {
        **requests(
            {
                "type": "string",
                "title": "an npm package, with versions",
                "pattern": _REQUEST,
                "examples": ["configurable-http-proxy==4.6.2", "@jupyterlab/builder>=4,<5"],
            },
            "npm packages to install, as `npm install --global` would.",
        ),
        "x-needs": "node",
    },
    "npm-nested": {
        **listed(
            {
                "type": "string",
                "title": "an npm package and a folder in it",
                "pattern": _NESTED,
                "examples": ["code-server/lib/vscode"],
            },
            "Folders of requested packages that have a package.json and an npm-shrinkwrap.json of their own; "
            "what these ask for lies in the folder's `node_modules`.",
        ),
        "x-needs": "npm",
    },
    "npm-scripts": _names("Packages whose install scripts run, in the sandbox and without network.", "node-pty"),
    "npm-ignore-scripts": _names("Packages whose install scripts never run, and which are fine without.", "core-js"),
    "npm-ignore-engines": _names("Packages that are installed although they ask for another Node.js.", "code-server"),
    "npm-build": {
        **requests(
            {
                "type": "string",
                "title": "a Debian package, name or name==version",
                "pattern": _APT,
                "examples": ["g++", "make", "node-gyp"],
            },
            "Debian packages that install scripts need, from the image's archive; they do not get into the image.",
        ),
        "x-needs": "npm-scripts",
    },
}
SHARED: Final = ("npm", "npm-nested", "npm-scripts", "npm-ignore-scripts", "npm-ignore-engines", "npm-build")
LOCKS: Final = {"npm": ".npm-lock.json", "npm-build": ".npm-build.apt.lock"}
