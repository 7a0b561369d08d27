"""What of a lock for every platform belongs to one: npm's `os`, `cpu` and `libc` (npm, package.json).

npm's solver answers for all platforms at once. A package for another one may only be there as an optional dependency;
it is left out, with whatever needs it, up to the optional dependency that brought it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from builder.digest import Json
from builder.errors import StackbuildError
from builder.kinds.npm.package import Package, edges, find

CPUS: Final = {"amd64": "x64", "arm64": "arm64"}
_LIBC: Final = "glibc"


def fits(package: Package, platform: str) -> bool:
    """Whether a package is for a platform such as `linux/amd64`, by npm's lists."""
    system, _, architecture = platform.partition("/")
    has = {"os": system, "cpu": CPUS.get(architecture, architecture), "libc": _LIBC}
    return all(_allows(package.native.get(key), value) for key, value in has.items())


def _allows(listed: Json, value: str) -> bool:
    """`["linux", "darwin"]` or `["!win32"]`, or one of these alone (npm-install-checks)."""
    words = [listed] if isinstance(listed, str) else listed
    if not isinstance(words, list | tuple) or not words or list(words) == ["any"]:
        return True
    names = [word for word in words if isinstance(word, str)]
    if f"!{value}" in names:
        return False
    positive = [word for word in names if not word.startswith("!")]
    return not positive or value in positive


def narrowed(packages: Mapping[str, Package], request: Mapping[str, str], platform: str) -> dict[str, Package]:
    """The packages of one platform; those for others are remembered in `elsewhere` of what wished for them.

    Args:
        request: name → range of what was asked for.

    Raises:
        StackbuildError: what was asked for cannot be without a package of another platform.
    """
    foreign = {location for location, package in packages.items() if not fits(package, platform)}
    while True:
        further = {
            package.location
            for package in packages.values()
            if package.location not in foreign and _broken(packages, package, foreign)
        }
        if not further:
            break
        foreign |= further
    for name in request:
        asked = find(packages, "", name)
        if asked is not None and asked.location in foreign:
            raise _elsewhere(packages, asked, platform)
    kept: dict[str, Package] = {}
    todo = [one for name in request if (one := find(packages, "", name)) is not None]
    while todo:
        package = todo.pop()
        if package.location in kept:
            continue
        kept[package.location] = package
        for _, _, needed, _ in edges(packages, package):
            if needed is not None and needed.location not in foreign:
                todo.append(needed)
    return {location: _trimmed(kept[location], kept) for location in sorted(kept)}


def _broken(packages: Mapping[str, Package], package: Package, foreign: set[str]) -> bool:
    return any(
        needed is not None and needed.location in foreign and not lax for _, _, needed, lax in edges(packages, package)
    )


def _trimmed(package: Package, kept: Mapping[str, Package]) -> Package:
    """Without the optional dependencies that are not there: `npm ci` takes a lock that lacks one for damaged."""
    optional = package.native.get("optionalDependencies")
    if not isinstance(optional, Mapping):
        return package
    gone = {name: str(range_) for name, range_ in optional.items() if find(kept, package.location, name) is None}
    left = {name: range_ for name, range_ in optional.items() if name not in gone}
    native = {key: value for key, value in package.native.items() if key != "optionalDependencies" or left}
    if left:
        native["optionalDependencies"] = left
    return replace(package, native=native, elsewhere=gone)


def _elsewhere(packages: Mapping[str, Package], asked: Package, platform: str) -> StackbuildError:
    todo, seen = [asked], {asked.location}
    culprit = asked
    while todo and fits(culprit := todo.pop(0), platform):
        for _, _, needed, lax in edges(packages, culprit):
            if needed is not None and not lax and needed.location not in seen:
                seen.add(needed.location)
                todo.append(needed)
    listed = {key: culprit.native[key] for key in ("os", "cpu", "libc") if key in culprit.native}
    return StackbuildError(
        f"{asked} is not for {platform}",
        where="" if culprit is asked else f"it needs {culprit}",
        got=", ".join(f"{key} {value}" for key, value in listed.items()),
        next_step="leave it out for that platform in stacks.toml",
    )
