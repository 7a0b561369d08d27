"""Which npm packages require which, by the locks alone: each gets what Node.js finds from where it lies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from builder.kinds.npm.lockfile import NpmLock
from builder.kinds.npm.package import FOLDER, Nested, Package, find
from builder.kinds.npm.request import parse
from builder.lock import Lock


def requires(locks: Sequence[Lock]) -> Mapping[str, frozenset[str]]:
    """For each package's title the titles of those that it requires, optional ones and peers included; also of those
    that lie in another's tarball, which are no pins. What a package's folders ask for, that package requires."""
    packages: dict[str, Package] = {}
    nested: list[Nested] = []
    for lock in locks:
        if isinstance(lock, NpmLock):
            packages |= lock.by_location
            nested += lock.nested
    found = _within(packages)
    for tree in nested:
        within = tree.by_location
        found |= _within(within)
        tops = (find(within, "", name) for name in (*tree.needs, *tree.wishes))
        owner = packages[tree.owner].title
        found[owner] |= {one.title for one in tops if one is not None}
    return found


def _within(packages: Mapping[str, Package]) -> dict[str, frozenset[str]]:
    """Of one tree."""
    return {
        package.title: frozenset(
            found.title
            for name in (*package.needs, *package.wishes)
            if (found := find(packages, location, name)) is not None
        )
        for location, package in packages.items()
    }


def asked(lock: Lock) -> Mapping[str, str]:
    """The names of pins that the request is about, each with its item."""
    if not isinstance(lock, NpmLock):
        return {}
    packages, items = lock.by_location, {one.name: item for item in lock.request for one in parse((item,))}
    found = {item: packages.get(f"{FOLDER}/{name}") for name, item in items.items()}
    return {package.title: item for item, package in found.items() if package is not None}
