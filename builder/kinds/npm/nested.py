"""A tree that a package keeps in a folder of its own, read from its tarball.

    <folder>/package.json            what is asked for, of which `dependencies` and `optionalDependencies` count
    <folder>/npm-shrinkwrap.json     what answers it, in npm's own format; else package-lock.json

Such a package runs npm in the folder when it is installed (npm, npm-shrinkwrap.json). Here its shrinkwrap is taken for
the answer: it is pinned with the tarball that holds it, and names each package's integrity. Where a shrinkwrap says
that a tarball is to be had is not followed: it must be said as registries say it, and is fetched from the registry of
this machine.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from builder.errors import HostileInput, StackbuildError
from builder.kinds.npm import lockfile, tarball
from builder.kinds.npm.judging import judge_location, judge_names, judged
from builder.kinds.npm.package import Package, folders

_LOCKS: Final = ("npm-shrinkwrap.json", "package-lock.json")
_MOST_BYTES: Final = 16 << 20
_MOST_PACKAGES: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Shrinkwrap:
    """What a folder pins.

    Attributes:
        needs: name → range of its package.json's dependencies.
        wishes: name → range of its optional ones.
        entries: npm's, by location below the folder; for all platforms, those for development among them.
    """

    needs: Mapping[str, str]
    wishes: Mapping[str, str]
    entries: Mapping[str, Mapping[str, Any]]


def read(path: Path, package: Package, folder: str) -> Shrinkwrap:
    """What a folder of a package's tarball pins.

    Raises:
        StackbuildError: the folder has no such files, or needs what is not from a registry.
        HostileInput: they are malformed.
    """
    where = f"{package}, {folder}"
    wanted = {f"{folder}/{name}": name for name in ("package.json", *_LOCKS)}
    found: dict[str, dict[str, Any]] = {}
    for member in tarball.members(path, str(package)):
        if member.path in wanted:
            if member.size > _MOST_BYTES:
                raise HostileInput(f"too large for a lock of npm: {where}", got=f"{member.size} bytes")
            found[wanted[member.path]] = _parsed(member.stream.read(), f"{where}/{wanted[member.path]}")
    lock = next((found[name] for name in _LOCKS if name in found), None)
    if lock is None or "package.json" not in found:
        raise StackbuildError(
            f"no tree is pinned in {where}",
            expected=f"a package.json and an {_LOCKS[0]} in that folder of its tarball",
            got=", ".join(sorted(found)) or "neither",
            next_step="correct npm-nested in stacks.toml",
        )
    fields = {name: found["package.json"].get(name, {}) for name in ("dependencies", "optionalDependencies")}
    judged(where, fields)
    wishes = dict(fields["optionalDependencies"])
    needs = {name: range_ for name, range_ in fields["dependencies"].items() if name not in wishes}
    return Shrinkwrap(needs=needs, wishes=wishes, entries=_entries(lock, where))


def _entries(lock: Mapping[str, Any], where: str) -> dict[str, Mapping[str, Any]]:
    packages = lock.get("packages")
    if not isinstance(packages, dict):
        raise StackbuildError(f"a lock of another format: {where}", expected="lockfileVersion 2 or 3")
    if len(packages) > _MOST_PACKAGES:
        raise HostileInput(f"too many packages: {where}", expected=f"at most {_MOST_PACKAGES}", got=str(len(packages)))
    found: dict[str, Mapping[str, Any]] = {}
    for location, entry in packages.items():
        if not isinstance(entry, dict):
            raise HostileInput(f"malformed lock of npm: {where}", got=f"{location}: no table"[:200])
        if not location or entry.get("dev") is True:
            continue
        judge_location(location)
        if entry.get("inBundle") is not True:
            _judge_origin(location, entry, where)
        found[location] = entry
    return found


def _judge_origin(location: str, entry: Mapping[str, Any], where: str) -> None:
    """Refuse what is not from a registry: git, folders, and URLs of any other form.

    Raises:
        StackbuildError: it is such a thing.
    """
    name, version = str(entry.get("name", folders(location)[-1])), str(entry.get("version", ""))
    url = entry.get("resolved", "")
    judge_names(location, name, version)
    usual = "/" + lockfile.usual(name, version)
    scheme, _, rest = unquote(str(url)).partition("://")
    if entry.get("link") or (url and not (scheme in {"http", "https"} and rest.endswith(usual))):
        raise StackbuildError(
            f"a nested npm package does not come from a registry: {name}",
            where=f"{where}, {location}",
            expected=f"…{usual}",
            got=f"{scheme}://…"[:50] if rest and not entry.get("link") else "a folder",
            next_step=f"ask for another version of {where.partition('@')[0]}, or leave the folder out of npm-nested",
        )


def _parsed(data: bytes, where: str) -> dict[str, Any]:
    try:
        found = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise HostileInput(f"malformed lock of npm: {where}", got=str(error)[:200]) from None
    if not isinstance(found, dict):
        raise HostileInput(f"malformed lock of npm: {where}", expected="a table")
    return found
