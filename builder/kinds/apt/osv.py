"""Debian packages in OSV, which knows source packages by release: `Debian:12`, `openssl`.

A binary package names its source where that has another name or version (Debian Policy 5.6.1): `gcc-12 (12.2.0-14)`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from builder.ecosystem import Known, Named, Origin
from builder.kinds.apt.version import key
from builder.lock import Lock, Pin

ECOSYSTEMS: Final = ("Debian", "Ubuntu")

_RELEASES: Final[Mapping[str, tuple[str, str]]] = {
    "bullseye": ("debian", "Debian:11"),
    "bookworm": ("debian", "Debian:12"),
    "trixie": ("debian", "Debian:13"),
    "forky": ("debian", "Debian:14"),
    "focal": ("ubuntu", "Ubuntu:20.04:LTS"),
    "jammy": ("ubuntu", "Ubuntu:22.04:LTS"),
    "noble": ("ubuntu", "Ubuntu:24.04:LTS"),
}
"""Code name → who signs it, and what OSV calls the release."""

_POCKETS: Final = ("", "-security", "-updates", "-proposed-updates", "-backports", "-proposed", "-lts")
_SOURCE: Final = re.compile(r"([a-z0-9][a-z0-9+.-]*)(?: \(([^() ]+)\))?")


def order(version: str) -> tuple[int, ...]:
    """Debian's order (deb-version(7))."""
    return key(version)


def packages(lock: Lock, origin: Origin) -> Iterator[Named]:
    """Each with its source package in its release; also in `Debian` without one, as a few entries have it.

    A foreign image's lock that names no source at all was made before any was kept: nothing in it is certain.
    """
    sources = not origin.system or any(pin.field("Source") for pin in lock.pins)
    for pin in lock.pins:
        name, version = _source(pin)
        release = _release(pin, origin) if sources else ""
        places = (release, release.partition(":")[0]) if release else ()
        yield Named(
            name=pin.name,
            version=pin.version,
            known=tuple(Known(one, name, version) for one in places),
            aliases=((name, version),) if name != pin.name else (),
        )


def _source(pin: Pin) -> tuple[str, str]:
    """Name and version of the source package; those of the binary one where it names no other."""
    found = _SOURCE.fullmatch(pin.field("Source"))
    return (found[1], found[2] or pin.version) if found else (pin.name, pin.version)


def _release(pin: Pin, origin: Origin) -> str:
    if origin.system:
        system, _, rest = origin.system.partition(" ")
        who, release = _RELEASES.get(rest.rpartition(" ")[2], ("", ""))
        return release if who == system else ""
    suite, keyring = pin.field("X-Suite"), dict(origin.keyrings).get(pin.source, "")
    for codename, (who, release) in _RELEASES.items():
        if who == keyring and suite.startswith(codename) and suite.removeprefix(codename) in _POCKETS:
            return release
    return ""
