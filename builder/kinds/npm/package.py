"""One package of an npm tree: an entry below `packages` in npm's own lock.

A *location* is where it lies below `<prefix>/lib`, or below the folder of a nested tree, as npm writes it:
`node_modules/a/node_modules/b`. Node.js looks for what a package requires in the `node_modules` beside it, then in
those of the folders above (Node.js, modules, "Loading from node_modules folders"); `find` does the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import cast

from builder.closure import closure
from builder.digest import Digest, Json
from builder.lock import Pin

FOLDER = "node_modules"
NAME = "stackbuild"
"""What the package at the top of our trees is called, and the key of what is ours in npm's own documents."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A package and where it lies.

    Attributes:
        name: its own, which differs from its folder's where it is an alias.
        integrity: `sha512-<base64>` of the tarball; "" for one that lies in another one's tarball.
        digest: sha256 of the tarball; None as `integrity`.
        size: bytes of the tarball.
        path: the tarball's path below the registry: `ms/-/ms-2.1.3.tgz`.
        native: what else npm's lock says of it, in npm's order.
        elsewhere: optional dependencies that are for other platforms: name → range.
        within: the folder whose own tree it belongs to, below `lib/node_modules`; "" for the main one.
    """

    location: str
    name: str
    version: str
    integrity: str = ""
    digest: Digest | None = None
    size: int = 0
    path: str = ""
    native: Mapping[str, Json] = field(default_factory=dict)
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    within: str = ""

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"

    @property
    def title(self) -> str:
        """The location without `node_modules`, unique as well: `a/b`; of a nested tree `c/lib:a/b`."""
        return (f"{self.within}:" if self.within else "") + "/".join(folders(self.location))

    @property
    def folder_name(self) -> str:
        """What others require it as: `b` of `node_modules/a/node_modules/b`."""
        return folders(self.location)[-1]

    @property
    def top(self) -> bool:
        """Whether it lies beside what was asked for, not below it."""
        return not self.within and len(folders(self.location)) == 1

    @property
    def bundled(self) -> bool:
        return self.native.get("inBundle") is True

    @property
    def optional(self) -> bool:
        return self.native.get("optional") is True

    @property
    def scripted(self) -> bool:
        """Whether it has an install script, or a binding.gyp that stands for one."""
        return self.native.get("hasInstallScript") is True

    @property
    def programs(self) -> Mapping[str, str]:
        """Program → file inside the package."""
        return self._texts("bin")

    @property
    def node(self) -> str:
        """The range of Node.js that it claims to need, "" for none."""
        engines = self.native.get("engines")
        wanted = engines.get("node") if isinstance(engines, Mapping) else None
        return wanted if isinstance(wanted, str) else ""

    @property
    def peers(self) -> Mapping[str, str]:
        """Name → range of what whoever installs it must bring."""
        return self._texts("peerDependencies")

    @property
    def needs(self) -> Mapping[str, str]:
        """Name → range of what must be there, peers included."""
        wishes = self.wishes
        asked = {**self.peers, **self._texts("dependencies")}
        return {name: range_ for name, range_ in asked.items() if name not in wishes}

    @property
    def wishes(self) -> Mapping[str, str]:
        """Name → range of what may be missing: optional dependencies, and peers that are."""
        meta = self.native.get("peerDependenciesMeta")
        lax = {name for name, one in meta.items() if _optional(one)} if isinstance(meta, Mapping) else set()
        peers = {name: range_ for name, range_ in self.peers.items() if name in lax}
        return {**peers, **self._texts("optionalDependencies")}

    def _texts(self, key: str) -> Mapping[str, str]:
        found = self.native.get(key, {})
        return cast(Mapping[str, str], found) if isinstance(found, Mapping) else {}

    @property
    def pin(self) -> Pin:
        """The tarball."""
        assert self.digest is not None, self.location
        return Pin(
            kind="npm",
            name=self.title,
            version=self.version,
            filename=self.path,
            digest=self.digest,
            size=self.size,
            fields=(("location", self.location), ("package", self.name), ("integrity", self.integrity)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Nested:
    """A tree that a package keeps in a folder of its own, beside a package.json and a shrinkwrap.

    Locations in it begin at that folder, and what is required in it is looked for there alone, as where npm is run.

    Attributes:
        folder: below `lib/node_modules`: `code-server/lib/vscode`.
        needs: name → range, of what its package.json depends on.
        wishes: name → range, of what may be missing.
    """

    folder: str
    needs: Mapping[str, str]
    wishes: Mapping[str, str]
    packages: tuple[Package, ...]

    @property
    def by_location(self) -> dict[str, Package]:
        return {package.location: package for package in self.packages}

    @property
    def owner(self) -> str:
        """The location of the package that has the folder."""
        return f"{FOLDER}/{split(self.folder)[0]}"


def split(folder: str) -> tuple[str, str]:
    """The package of a nested tree's folder, and the folder below it: `("@scope/a", "lib/b")`."""
    parts = folder.split("/")
    length = 2 if folder.startswith("@") else 1
    return "/".join(parts[:length]), "/".join(parts[length:])


def _optional(meta: Json) -> bool:
    return isinstance(meta, Mapping) and meta.get("optional") is True


def folders(location: str) -> list[str]:
    """The folder names of a location, outermost first: `["a", "@scope/b"]`."""
    return [part.strip("/") for part in f"/{location}/".split(f"/{FOLDER}/")[1:]]


def find(packages: Mapping[str, Package], location: str, name: str) -> Package | None:
    """What the package at a location gets when it requires `name`; the location "" is the request itself."""
    while True:
        found = packages.get(f"{location}/{FOLDER}/{name}".lstrip("/"))
        if found is not None or not location:
            return found
        location = f"/{location}".rpartition(f"/{FOLDER}/")[0].lstrip("/")


def edges(packages: Mapping[str, Package], package: Package) -> Iterator[tuple[str, str, Package | None, bool]]:
    """(name, range, what answers it, whether it may be missing) of all that a package depends on, by name."""
    for name, range_ in sorted({**package.needs, **package.wishes}.items()):
        yield name, range_, find(packages, package.location, name), name in package.wishes


def reach(packages: Mapping[str, Package], package: Package) -> tuple[Package, ...]:
    """The package and all that it can require, directly or not, by location."""

    def needs(location: str) -> list[str]:
        return [needed.location for _, _, needed, _ in edges(packages, packages[location]) if needed is not None]

    return tuple(packages[location] for location in sorted(closure(package.location, needs)))
