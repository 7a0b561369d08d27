from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from builder.digest import Digest
from builder.kinds.apt import places
from builder.kinds.apt.places import SNAPSHOT, Entry, Host
from builder.lock import Pin
from builder.manifest.settings import Archive

DEBIAN = Archive(name="debian", suites=("bookworm", "bookworm-security"))
CUTOFF = datetime(2026, 11, 1, tzinfo=UTC)


def test_host_configuration_of_both_styles(tmp_path: Path) -> None:
    folder = tmp_path / "etc/apt/sources.list.d"
    folder.mkdir(parents=True)
    (tmp_path / "etc/apt/sources.list").write_text(
        "# comment\ndeb [arch=amd64 signed-by=/k.gpg] http://one.example/debian bookworm main contrib\n"
        "deb-src http://src.example/debian bookworm main\n"
    )
    (folder / "a.sources").write_text(
        "Types: deb deb-src\n# old: http://x\nURIs: http://two.example/debian http://three.example/debian/\n"
        "Suites: bookworm bookworm-updates\nComponents: main\n\n"
        "Enabled: no\nTypes: deb\nURIs: http://off.example\nSuites: bookworm\n"
    )
    (folder / "b.sources.disabled").write_text("Types: deb\nURIs: http://off.example\nSuites: bookworm\n")
    host = places.read_host({"STACKBUILD_MIRROR_X": "http://m", "TOKEN": "secret"}, tmp_path)
    assert host == Host(
        environ={"STACKBUILD_MIRROR_X": "http://m"},
        entries=(
            Entry(uri="http://one.example/debian", suites=("bookworm",), architectures=("amd64",)),
            Entry(uri="http://two.example/debian", suites=("bookworm", "bookworm-updates")),
            Entry(uri="http://three.example/debian/", suites=("bookworm", "bookworm-updates")),
        ),
    )


def test_host_without_apt(tmp_path: Path) -> None:
    assert places.read_host({}, tmp_path) == Host(environ={})


def test_places_are_per_suite_and_the_snapshot_is_last() -> None:
    host = Host(
        environ={},
        entries=(
            Entry(uri="http://m.example/debian/", suites=("bookworm",)),
            Entry(uri="http://m.example/debian-security", suites=("bookworm-security",)),
            Entry(uri="cdrom:[x]", suites=("bookworm",)),
        ),
    )
    assert places.places(DEBIAN, "bookworm", host, moments=(CUTOFF,)) == (
        "http://m.example/debian",
        f"{SNAPSHOT}/debian/20261101T000000Z",
    )
    assert places.places(DEBIAN, "bookworm-security", host, moments=(CUTOFF,)) == (
        "http://m.example/debian-security",
        f"{SNAPSHOT}/debian-security/20261101T000000Z",
    )


def test_a_debian_mirror_has_the_suites_that_no_entry_lists() -> None:
    host = Host(
        environ={},
        entries=(
            Entry(uri="http://m.example/debian", suites=("bookworm", "bookworm-updates")),
            Entry(uri="http://m.example/debian-security", suites=("bookworm-security",)),
            Entry(uri="http://n.example/node_20.x", suites=("nodistro",)),
        ),
    )
    for suite in ("trixie", "trixie-updates"):
        assert places.places(DEBIAN, suite, host) == ("http://m.example/debian",)
    assert places.places(DEBIAN, "trixie-security", host) == ("http://m.example/debian-security",)
    assert places.places(DEBIAN, "nowhere", host) == ()
    ubuntu = Archive(name="ubuntu", suites=("jammy",), keyring="ubuntu")
    assert places.places(ubuntu, "trixie", host) == ()
    listed = Host(environ={}, entries=(*host.entries, Entry(uri="http://t.example/debian", suites=("trixie",))))
    assert places.places(DEBIAN, "trixie", listed) == ("http://t.example/debian",)


def test_environment_replaces_the_host_configuration() -> None:
    host = Host(
        environ={"STACKBUILD_MIRROR_DEBIAN": "file:///a http://b/debian/"},
        entries=(Entry(uri="http://m.example/debian", suites=("bookworm",)),),
    )
    assert places.places(DEBIAN, "bookworm", host) == ("file:///a", "http://b/debian")
    assert places.variable("toy-archive") == "STACKBUILD_MIRROR_TOY_ARCHIVE"


def test_no_snapshot_of_other_archives() -> None:
    other = Archive(name="habana", suites=("jammy",), keyring="keys/habana.gpg")
    assert places.places(other, "jammy", Host(environ={}), moments=(CUTOFF,)) == ()


def test_urls_of_a_pin() -> None:
    pin = Pin(
        kind="apt",
        name="adduser",
        version="3.134",
        filename="pool/main/a/adduser/adduser_3.134_all.deb",
        digest=Digest.of(b""),
        size=0,
        fields=(("X-Suite", "bookworm"), ("X-Release", "20260711T101637Z")),
    )
    host = Host(environ={"STACKBUILD_MIRROR_DEBIAN": "http://m.example/debian"})
    assert places.urls(DEBIAN, pin, host, cutoff=CUTOFF) == (
        "http://m.example/debian/pool/main/a/adduser/adduser_3.134_all.deb",
        f"{SNAPSHOT}/debian/20261101T000000Z/pool/main/a/adduser/adduser_3.134_all.deb",
        f"{SNAPSHOT}/debian/20260712T101637Z/pool/main/a/adduser/adduser_3.134_all.deb",
    )
