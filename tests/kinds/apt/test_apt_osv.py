"""What Debian's packages are called in OSV: source packages, in the release of those who signed them."""

from __future__ import annotations

import pytest

from builder.digest import Digest
from builder.ecosystem import Known, Named, Origin
from builder.kinds.apt.osv import packages
from builder.lock import Lock, Pin

KEYRINGS = Origin(keyrings=(("debian", "debian"), ("ubuntu", "ubuntu"), ("vendor", "keys/vendor.gpg")))


def pin(name: str, version: str, source: str = "", suite: str = "bookworm", archive: str = "debian") -> Pin:
    fields = [("Source", source)] if source else []
    fields += [("X-Suite", suite)] if suite else []
    return Pin(
        kind="apt",
        name=name,
        version=version,
        filename="",
        digest=Digest.of(b""),
        size=0,
        source=archive,
        fields=tuple(fields),
    )


def named(*pins: Pin, origin: Origin = KEYRINGS) -> list[Named]:
    return list(packages(Lock(request=(), pins=pins), origin))


def test_sources_have_names_and_versions_of_their_own() -> None:
    found = named(
        pin("bash", "5.2.15-2+b12", "bash (5.2.15-2)"), pin("libssl3", "3.0.20-1", "openssl"), pin("curl", "7")
    )
    assert [one.known[0] for one in found] == [
        Known("Debian:12", "bash", "5.2.15-2"),
        Known("Debian:12", "openssl", "3.0.20-1"),
        Known("Debian:12", "curl", "7"),
    ]
    assert [one.aliases for one in found] == [(), (("openssl", "3.0.20-1"),), ()]


@pytest.mark.parametrize(
    ("suite", "archive", "ecosystem"),
    [
        ("bookworm", "debian", "Debian:12"),
        ("bookworm-security", "debian", "Debian:12"),
        ("trixie-updates", "debian", "Debian:13"),
        ("jammy-security", "ubuntu", "Ubuntu:22.04:LTS"),
        ("jammy", "debian", ""),
        ("bookworm", "vendor", ""),
        ("bookworm-pgdg", "debian", ""),
        ("stable", "debian", ""),
        ("", "debian", ""),
        ("bookworm", "unknown", ""),
    ],
)
def test_releases_by_suite_and_keyring(suite: str, archive: str, ecosystem: str) -> None:
    (found,) = named(pin("a", "1", suite=suite, archive=archive))
    assert [one.ecosystem for one in found.known] == ([ecosystem, ecosystem.partition(":")[0]] if ecosystem else [])


@pytest.mark.parametrize(
    ("system", "ecosystem"),
    [
        ("debian 12 bookworm", "Debian:12"),
        ("ubuntu 22.04 jammy", "Ubuntu:22.04:LTS"),
        ("debian 22.04 jammy", ""),
        ("alpine 3.20", ""),
        ("unknown", ""),
    ],
)
def test_what_lies_in_a_foreign_base(system: str, ecosystem: str) -> None:
    found = named(pin("libssl3", "3", "openssl", suite=""), pin("a", "1", suite=""), origin=Origin(system=system))
    assert [one.known[0].ecosystem if one.known else "" for one in found] == [ecosystem, ecosystem]


def test_a_base_whose_lock_never_kept_sources_is_not_guessed_at() -> None:
    (found,) = named(pin("libssl3", "3", suite=""), origin=Origin(system="debian 12 bookworm"))
    assert found.known == ()
