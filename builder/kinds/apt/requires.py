"""Which Debian packages depend on which, by the locks alone (Debian Policy 7.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from builder.kinds.apt.package import Package, of_pin
from builder.lock import Lock


def requires(locks: Sequence[Lock]) -> Mapping[str, frozenset[str]]:
    """For each pinned name the pinned names that its Pre-Depends and Depends are met by, whichever alternative."""
    packages = [of_pin(pin) for lock in locks for pin in lock.pins]
    offers: dict[str, list[Package]] = {}
    for package in packages:
        for name in dict.fromkeys(package.names()):
            offers.setdefault(name, []).append(package)
    return {
        package.name: frozenset(
            one.name
            for clause in package.needs
            for atom in clause
            for one in offers.get(atom.name, ())
            if one is not package and one.offers(atom)
        )
        for package in packages
    }


def asked(lock: Lock) -> Mapping[str, str]:
    """The pinned names that the request is about, each with its item; and the essential ones, which every root has."""
    found = {pin.name: "essential" for pin in lock.pins if "essential" in pin.via}
    return found | {item.partition("==")[0].partition(":")[0]: item for item in lock.request}
