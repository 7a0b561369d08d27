"""Waves of packages: while dpkg configures one, the next is decompressed. Runs in the sandbox: standard library only.

A wave needs nothing but itself and the waves before. What it holds follows from the packages alone, never from how
long anything took: the same packages make the same waves on every machine.
"""

from __future__ import annotations

from collections.abc import Sequence

from builder.closure import closure
from builder.kinds.apt.deb import Deb
from builder.kinds.apt.relation import names

FIRST = 20_000_000
"""Bytes of compressed data in the first wave, each later one has twice as many as the one before: about what two cores
decompress while the essential packages are configured. Wherever the last wave would be less than this, there is none.
"""


def waves(debs: Sequence[Deb]) -> list[list[Deb]]:
    """Packages by wave, each wave in the order given.

    Packages with a postinst come before the others, as what takes time is configuring, and among them those that need
    the fewest bytes with all that they depend on.
    """
    needs = _needs(debs)
    closures = {deb.key: closure(deb.key, needs.__getitem__) for deb in debs}
    sizes = {deb.key: deb.data[2] for deb in debs}
    costs = {key: sum(sizes[one] for one in keys) for key, keys in closures.items()}
    found: list[set[str]] = [set()]
    placed: set[str] = set()
    left = sum(sizes.values())
    for deb in sorted(debs, key=lambda deb: ("postinst" not in deb.members, costs[deb.key], deb.key)):
        if sum(sizes[key] for key in found[-1]) >= FIRST << (len(found) - 1) and left >= FIRST:
            found.append(set())
        new = closures[deb.key] - placed
        found[-1] |= new
        placed |= new
        left -= sum(sizes[key] for key in new)
    return [[deb for deb in debs if deb.key in wave] for wave in found]


def _needs(debs: Sequence[Deb]) -> dict[str, set[str]]:
    """Key → keys of what may satisfy its dependencies: all alternatives, and all that provide one.

    Who enables units needs systemd as well, where it is installed: it enables what it finds when it is configured, by
    another path than deb-systemd-helper, and should find what it would without waves.
    """
    providers: dict[str, set[str]] = {}
    for deb in debs:
        for name in [deb.field("Package"), *names(deb.field("Provides"))]:
            providers.setdefault(name, set()).add(deb.key)
    return {
        deb.key: {
            key
            for name in [*names(deb.field("Pre-Depends"), deb.field("Depends")), *_implied(deb)]
            for key in providers.get(name, ())
        }
        for deb in debs
    }


def _implied(deb: Deb) -> list[str]:
    return ["systemd"] if b"deb-systemd-" in deb.members.get("postinst", (0, b""))[1] else []
