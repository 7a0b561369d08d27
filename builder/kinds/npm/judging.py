"""What becomes part of paths and messages, from a lock or from a registry: names, places, versions, programs."""

from __future__ import annotations

import re
from typing import Any, Final

from builder.digest import Json
from builder.errors import HostileInput
from builder.kinds.npm.package import FOLDER, NAME, folders, split
from builder.tree import safe

_TEXTS: Final = ("dependencies", "optionalDependencies", "peerDependencies", "bin")
_PACKAGE = re.compile(r"(@[A-Za-z0-9~-][A-Za-z0-9._~-]*/)?[A-Za-z0-9~-][A-Za-z0-9._~-]*")
_VERSION = re.compile(r"[0-9][A-Za-z0-9.+-]*")


def judge_folder(folder: str) -> None:
    """Raises: HostileInput: it is no folder of a package."""
    name, inside = split(folder)
    _judge_name(name, folder)
    if not inside or safe(inside, folder) != inside or FOLDER in inside.split("/") or ":" in inside:
        raise HostileInput(f"not a folder of an npm package: {folder!r}"[:200])


def judge_location(location: str) -> None:
    """Raises: HostileInput: it is no place of an npm package."""
    names = folders(location)
    if not names or safe(location, NAME) != location or location != "/".join(f"{FOLDER}/{name}" for name in names):
        raise HostileInput(f"not a place of an npm package: {location!r}"[:200])
    for name in names:
        _judge_name(name, location)


def judge_names(location: str, name: str, version: str) -> None:
    """Judge what becomes part of paths and messages.

    Raises:
        HostileInput: one of them is no such thing.
    """
    _judge_name(name, location)
    if not _VERSION.fullmatch(version):
        raise HostileInput(f"not a version: {version!r}"[:200], where=location)


def _judge_name(name: str, location: str) -> None:
    if not _PACKAGE.fullmatch(name):
        raise HostileInput(f"not a name of an npm package: {name!r}"[:200], where=location)


def judged(location: str, native: dict[str, Any]) -> dict[str, Json]:
    """The entry's fields, of which those that are read here have the right type.

    Raises:
        HostileInput: one has not.
    """
    for key in _TEXTS:
        found = native.get(key, {})
        if not isinstance(found, dict) or not all(isinstance(one, str) for one in found.values()):
            raise HostileInput(f"{key} is no table of texts: {location}")
    for name, file in native.get("bin", {}).items():
        if safe(name, location) != name or "/" in name:
            raise HostileInput(f"not the name of a program: {name!r}", where=location)
        safe(file, location)
    return native
