"""The text of an npm lock: npm's own package-lock.json, version 3 (npm, package-lock.json).

    { "name": "stackbuild", "lockfileVersion": 3, "requires": true,
      "stackbuild": { "about": …, "format": 1, "node": "18.20.4", "platform": "linux/amd64", "request": […] },
      "packages": {
        "": { "name": "stackbuild", "dependencies": { "ms": "2.1.3" } },
        "node_modules/ms": { "version": "2.1.3", "integrity": "sha512-…",
          "stackbuild": { "sha256": "…", "size": 2966 }, "license": "MIT" } } }

npm reads it as it stands (`npm ci`, beside a package.json with the same `dependencies`) and passes over what is ours:
the sha256 and size that a pin has, the path below the registry where it is not the usual one, and `elsewhere`, the
optional dependencies that other platforms have. `resolved` is left out, as npm's `omit-lockfile-registry-resolved`
does, so no registry is named. Trees that packages keep in folders of their own stand below `nested`, by folder.

There is exactly one text for a lock: whatever `dumps` would not write, `loads` refuses. Loading is on the path of
every build, so nothing slow is imported here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from builder.digest import Digest, Json
from builder.errors import HostileInput, StackbuildError
from builder.kinds.apt import lockfile as apt
from builder.kinds.npm.judging import judge_folder, judge_location, judge_names, judged
from builder.kinds.npm.package import NAME, Nested, Package, folders
from builder.kinds.npm.request import parse
from builder.lock import Lock
from builder.tree import safe

FORMAT: Final = 1
_ABOUT: Final = "Written by `stackbuild lock`, never by hand: edit stacks.toml."

NATIVE: Final = (
    "inBundle", "hasInstallScript", "hasShrinkwrap", "license", "optional", "peer",
    "dependencies", "optionalDependencies", "peerDependencies", "peerDependenciesMeta", "bundleDependencies",
    "bin", "engines", "os", "cpu", "libc",
)  # fmt: skip
"""What is kept of npm's entries, in the order in which it is written. What may change in a registry without a new
version (`deprecated`, `funding`) is not."""

_INTEGRITY = re.compile(r"sha512-[A-Za-z0-9+/]{86}==")


@dataclass(frozen=True, slots=True, kw_only=True)
class NpmLock(Lock):
    """A lock and the target that it was solved for.

    Attributes:
        packages: by location; those with a tarball of their own are the pins, here and in `nested`.
        node: the Node.js of the target, `18.20.4`.
        platform: `linux/amd64`.
    """

    packages: tuple[Package, ...]
    node: str
    platform: str
    nested: tuple[Nested, ...] = ()

    @property
    def by_location(self) -> dict[str, Package]:
        return {package.location: package for package in self.packages}

    @property
    def every(self) -> tuple[Package, ...]:
        """The packages of all trees, the main one's first."""
        return (*self.packages, *(package for tree in self.nested for package in tree.packages))

    @property
    def trees(self) -> dict[str, dict[str, Package]]:
        """Each tree's packages by location, by the tree's folder; the main one is ""."""
        return {"": self.by_location, **{tree.folder: tree.by_location for tree in self.nested}}


def lock(
    request: tuple[str, ...],
    packages: Mapping[str, Package],
    node: str,
    platform: str,
    nested: tuple[Nested, ...] = (),
) -> NpmLock:
    """The lock of these packages."""
    ordered = tuple(packages[location] for location in sorted(packages))
    every = (*ordered, *(package for tree in nested for package in tree.packages))
    pins = sorted((package.pin for package in every if not package.bundled), key=lambda pin: pin.name)
    return NpmLock(request=request, pins=tuple(pins), packages=ordered, node=node, platform=platform, nested=nested)


def dumps(lock: NpmLock) -> str:
    """The text of a lock."""
    document: dict[str, Json] = {
        "name": NAME,
        "lockfileVersion": 3,
        "requires": True,
        NAME: {
            "about": _ABOUT,
            "format": FORMAT,
            "node": lock.node,
            "platform": lock.platform,
            "request": list(lock.request),
        },
        "packages": {
            "": {"name": NAME, "dependencies": asked(lock)},
            **{package.location: _entry(package) for package in lock.packages},
        },
    }
    if lock.nested:
        document["nested"] = {tree.folder: _tree(tree) for tree in lock.nested}
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def asked(lock: NpmLock) -> dict[str, str]:
    """Name → versions, of what the request asks and no ancestor has: `dependencies` of a package.json."""
    there = {package.folder_name for package in lock.packages if package.top}
    return {one.name: one.spec for one in parse(lock.request) if one.name in there}


def _entry(package: Package) -> dict[str, Json]:
    found: dict[str, Json] = {}
    if package.name != package.folder_name:
        found["name"] = package.name
    found["version"] = package.version
    own: dict[str, Json] = {}
    if package.digest is not None:
        found["integrity"] = package.integrity
        own |= {"sha256": package.digest.hex, "size": package.size}
        if package.path != usual(package.name, package.version):
            own["path"] = package.path
    if package.elsewhere:
        own["elsewhere"] = dict(sorted(package.elsewhere.items()))
    if own:
        found[NAME] = own
    return found | {key: package.native[key] for key in NATIVE if key in package.native}


def _tree(tree: Nested) -> dict[str, Json]:
    return {
        "dependencies": dict(sorted(tree.needs.items())),
        "optionalDependencies": dict(sorted(tree.wishes.items())),
        "packages": {package.location: _entry(package) for package in tree.packages},
    }


def usual(name: str, version: str) -> str:
    """Where registries have a tarball, below their own URL."""
    return f"{name}/-/{name.rpartition('/')[2]}-{version.partition('+')[0]}.tgz"


def loads(text: str, path: object) -> Lock:
    """The lock that a text says; also the apt lock of the packages that install scripts are run with.

    Raises:
        StackbuildError: the text is not what `dumps` writes; the first wrong line is named.
    """
    where = str(path)
    if where.endswith(".apt.lock"):
        return apt.loads(text, where)
    try:
        document = json.loads(text)
        own = document[NAME]
        if own["format"] != FORMAT:
            raise _other_format(where, own["format"])
        packages = {location: parsed(location, entry) for location, entry in document["packages"].items() if location}
        nested = tuple(_parsed_tree(folder, tree) for folder, tree in document.get("nested", {}).items())
        request = tuple(map(_text, own["request"]))
        found = lock(request, packages, _text(own["node"]), _text(own["platform"]), nested)
        written = dumps(found)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _damaged(where, f"{type(error).__name__}: {error}"[:200]) from None
    if written != text:
        wanted, got = written.splitlines(), text.splitlines()
        line = next(
            (n for n, (a, b) in enumerate(zip(wanted, got, strict=False)) if a != b), min(len(wanted), len(got))
        )
        raise _damaged(
            f"{where}:{line + 1}",
            (got[line] if line < len(got) else "the end").strip()[:200],
            expected=(wanted[line] if line < len(wanted) else "the end").strip()[:200],
        )
    return found


def parsed(location: str, entry: Mapping[str, Any]) -> Package:
    """One entry of a lock of ours.

    Raises:
        HostileInput: a name, path, version or integrity is none.
        KeyError, TypeError, ValueError: a part is missing or has another type.
    """
    judge_location(location)
    own = entry.get(NAME, {})
    native = judged(location, {key: entry[key] for key in NATIVE if key in entry})
    name, version = _text(entry.get("name", folders(location)[-1])), _text(entry["version"])
    judge_names(location, name, version)
    elsewhere = {_text(one): _text(range_) for one, range_ in own.get("elsewhere", {}).items()}
    if native.get("inBundle") is True:
        return Package(location=location, name=name, version=version, native=native, elsewhere=elsewhere)
    if not _INTEGRITY.fullmatch(entry["integrity"]):
        raise HostileInput(f"not an integrity of sha512: {location}", got=str(entry["integrity"])[:100])
    if type(own["size"]) is not int or own["size"] < 0:
        raise HostileInput(f"not a size: {location}", got=str(own["size"])[:100])
    return Package(
        location=location,
        name=name,
        version=version,
        integrity=entry["integrity"],
        digest=Digest.parse("sha256:" + _text(own["sha256"])),
        size=own["size"],
        path=safe(_text(own.get("path", usual(name, version))), location),
        native=native,
        elsewhere=elsewhere,
    )


def _parsed_tree(folder: str, tree: Mapping[str, Any]) -> Nested:
    judge_folder(folder)
    judged(folder, {key: tree[key] for key in ("dependencies", "optionalDependencies")})
    packages = (replace(parsed(location, entry), within=folder) for location, entry in tree["packages"].items())
    return Nested(
        folder=folder, needs=tree["dependencies"], wishes=tree["optionalDependencies"], packages=tuple(packages)
    )


def _text(found: object) -> str:
    if not isinstance(found, str):
        raise TypeError(f"not a text: {found!r}")
    return found


def _damaged(where: str, got: str, *, expected: str = "") -> HostileInput:
    file = re.sub(r":\d+$", "", where)
    return HostileInput(
        "lock is damaged",
        where=where,
        expected=expected,
        got=got,
        next_step=f"git checkout -- {file}, or make it anew: stackbuild lock",
    )


def _other_format(where: str, got: object) -> StackbuildError:
    return StackbuildError(
        "lock of another format",
        where=where,
        expected=f"format {FORMAT}",
        got=f"format {got}"[:100],
        next_step="use the stackbuild that wrote it, or make it anew: stackbuild lock",
    )
