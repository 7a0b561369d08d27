"""Python packages in OSV: names of PEP 503, versions of PEP 440."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

from packaging.version import InvalidVersion, Version

from builder.ecosystem import Known, Named, Origin
from builder.lock import Lock
from builder.manifest.shape import request_name

ECOSYSTEMS: Final = ("PyPI",)


@lru_cache(maxsize=1 << 17)
def order(version: str) -> tuple[Any, ...]:
    """PEP 440's order; what is no such version comes before all that are, as PyPI's old texts are older."""
    try:
        return (1, Version(version))
    except InvalidVersion:
        return (0, version)


def packages(lock: Lock, origin: Origin) -> Iterator[Named]:
    """Each by its own name. A local version, `2.5.1+cu124`, is a build of what PyPI calls `2.5.1`."""
    for pin in lock.pins:
        yield Named(
            name=pin.name,
            version=pin.version,
            known=(Known("PyPI", request_name(pin.name), pin.version.partition("+")[0]),),
        )
