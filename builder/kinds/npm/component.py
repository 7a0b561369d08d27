"""npm packages as components of a bill of materials, those that lie in another's tarball among them."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from builder.bill import Component, Subject
from builder.kinds.npm import requires
from builder.kinds.npm.lockfile import NpmLock
from builder.kinds.npm.package import Package
from builder.licences import NONE, Licence, declared
from builder.purls import purl

WANTED = re.compile(r".+/node_modules/(@[^/]+/)?[^/@]+/package\.json")


def components(subject: Subject) -> Iterator[Component]:
    """Each package at each place where it lies; its licence is what its package.json says, which most locks repeat."""
    locks = [(target.image, lock) for target, lock in subject.pinned("npm") if isinstance(lock, NpmLock)]
    edges = requires.requires([lock for _, lock in locks])
    asked = {one for _, lock in locks for one in requires.asked(lock)}
    option = subject.manifest.option(subject.target, "node")
    prefix = str(option["prefix"]) if isinstance(option, Mapping) else ""
    for image, lock in locks:
        for one in lock.every:
            place = f"{prefix}/lib/{_below(one)}"
            yield Component(
                ref=f"npm:{one.title}",
                kind="npm",
                name=one.name,
                version=one.version,
                image=image,
                purl=_purl(one),
                digest=one.digest,
                sha512=base64.b64decode(one.integrity.removeprefix("sha512-")).hex() if one.integrity else "",
                file=one.path,
                licence=_licence(one.native.get("license") or _told(subject, place)),
                needs=tuple(sorted(f"npm:{title}" for title in edges.get(one.title, ()))),
                asked=one.title in asked,
                said=(
                    *((("bundled", "true"),) if one.bundled else ()),
                    ("location", place),
                ),
            )


def _below(one: Package) -> str:
    """Where it lies below `<prefix>/lib`; a nested tree's locations begin at its folder."""
    return f"node_modules/{one.within}/{one.location}" if one.within else one.location


def _purl(one: Package) -> str:
    scope, _, name = one.name.rpartition("/")
    return purl("npm", name, one.version, namespace=scope)


def _told(subject: Subject, place: str) -> Any:
    """What the package.json at a place has for `license`."""
    try:
        document = json.loads(subject.files.text(f"{place}/package.json".lstrip("/")) or "{}")
    except (ValueError, RecursionError):
        return None
    return document.get("license") if isinstance(document, dict) else None


def _licence(said: Any) -> Licence:
    """A text, or as old packages have it a table with a `type` (npm, package.json, "license")."""
    if isinstance(said, Mapping):
        said = said.get("type")
    return declared(said) if isinstance(said, str) and said else NONE
