"""Packages of Node.js in OSV: Semantic Versioning 2.0.0."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

from builder.ecosystem import Known, Named, Origin
from builder.kinds.npm.lockfile import NpmLock
from builder.kinds.npm.semver import Version
from builder.lock import Lock

ECOSYSTEMS: Final = ("npm",)
_PARTIAL: Final = re.compile(r"[v=\s]*(\d{1,16})(?:\.(\d{1,16}))?()(.*)", re.DOTALL)


@lru_cache(maxsize=1 << 17)
def order(version: str) -> tuple[Any, ...]:
    """The order of SemVer, 11; `1` and `1.2` are filled up with zeros, anything else comes before all versions."""
    found = Version.parse(version)
    if found is None and (partial := _PARTIAL.fullmatch(version)):
        found = Version.parse(f"{partial[1]}.{partial[2] or 0}.0{partial[4]}")
    return (0, version) if found is None else (1, found)


def packages(lock: Lock, origin: Origin) -> Iterator[Named]:
    """Every package of the trees by its own name, also those that lie in another one's tarball and are no pins."""
    for one in lock.every if isinstance(lock, NpmLock) else ():
        yield Named(
            name=one.title,
            version=one.version,
            known=(Known("npm", one.name, one.version),),
            aliases=((one.name, one.version),) if one.name != one.title else (),
        )
