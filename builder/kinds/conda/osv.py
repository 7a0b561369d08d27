"""Conda packages in OSV, which has no ecosystem of theirs: as what they bring of PyPI, if the lock says so.

The lock of a conda package names the Python distributions in it (`distributions.py`). Those are looked up; what conda
builds of anything else (OpenSSL, R, a compiler) is known to no database in this format.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from builder.ecosystem import Known, Named, Origin
from builder.kinds.conda.record import fields
from builder.lock import Lock

ECOSYSTEMS: Final = ()


def order(version: str) -> Any:
    """conda's own order; what is no version of conda's comes before all that are."""
    from builder.kinds.conda.matching import ordered

    return ordered(version)


def packages(lock: Lock, origin: Origin) -> Iterator[Named]:
    """Each with the distributions of PyPI that it brings."""
    for pin in lock.pins:
        found = [text.partition("==") for text in fields(pin, "pypi")]
        yield Named(
            name=pin.name,
            version=pin.version,
            known=tuple(Known("PyPI", name, version.partition("+")[0]) for name, _, version in found),
            aliases=tuple((name, version) for name, _, version in found if name != pin.name),
        )
