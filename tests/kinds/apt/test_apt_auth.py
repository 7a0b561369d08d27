"""apt's auth.conf: which entry is for which URL."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from builder.credentials import Login
from builder.kinds.apt import auth, places
from builder.kinds.apt.auth import Machine
from builder.kinds.apt.places import SNAPSHOT
from builder.manifest.settings import Archive

URL = "https://example.org/debian"


@pytest.mark.parametrize(
    ("machine", "url", "matches"),
    [
        # The examples of apt_auth.conf(5), in its order.
        ("example.org", URL, True),
        ("example.org/deb", URL, True),
        ("example.org/debian", URL, True),
        ("example.org/debian/", URL + "/", True),
        ("example.org:443", URL, False),
        ("example.org/deb/", URL, False),
        ("example.org/ubuntu", URL, False),
        ("example.orga", URL, False),
        # Protocols and ports.
        ("example.org", "http://example.org/debian", False),
        ("http://example.org", "http://example.org/debian", True),
        ("https://example.org", "http://example.org/debian", False),
        ("https://example.org", URL, True),
        ("example.org", "https://example.org:8443/debian", True),
        ("example.org:8443", "https://example.org:8443/debian", True),
        ("example.org:8443/deb", "https://example.org:8443/debian", True),
        ("example.org:8443", "https://example.org:9443/debian", False),
        ("org", URL, False),
        ("", URL, False),
        ("/debian", URL, False),
    ],
)
def test_machines(machine: str, url: str, matches: bool) -> None:
    assert Machine(name=machine, login=Login("a", "b")).matches(url) is matches


def test_entries_in_all_spellings() -> None:
    text = (
        "# machine commented.example login no password no\n"
        "machine one.example login al password s3cret\n"
        "machine two.example\n\tlogin bob\n\tpassword pa#ss\n"
        "password early login odd machine three.example unknown word password only\n"
        "machine four.example\n"
        "machine"
    )
    assert list(auth.parse(text)) == [
        Machine(name="one.example", login=Login("al", "s3cret")),
        Machine(name="two.example", login=Login("odd", "early")),
        Machine(name="three.example", login=Login("", "only")),
    ]


def test_files_in_apts_order(tmp_path: Path) -> None:
    parts = tmp_path / "auth.conf.d"
    parts.mkdir()
    for path, name in (
        (tmp_path / "auth.conf", "last"),
        (parts / "b.conf", "second"),
        (parts / "a", "first"),
        (parts / "c.conf.bak", "never"),
    ):
        path.write_text(f"machine {name} login u password p\n")
    (parts / "d.conf").write_bytes(b"\xff")
    assert [one.name for one in auth.read(tmp_path)] == ["first", "second", "last"]
    assert auth.read(tmp_path / "nowhere") == ()


def test_who_gets_which_login(tmp_path: Path) -> None:
    """An archive's credential goes to configured mirrors, auth.conf's to whom it names; the rest gets none."""
    folder = tmp_path / "etc/apt"
    folder.mkdir(parents=True)
    (folder / "sources.list").write_text(
        "deb https://listed.example/debian bookworm main\ndeb https://own:login@entry.example/debian bookworm main\n"
    )
    (folder / "auth.conf").write_text(
        "machine listed.example login al password p/w\nmachine entry.example login al password no\n"
        "machine mirror.example login al password no\n"
    )
    archive = Archive(name="bookworm", suites=("bookworm",))
    moment = datetime(2026, 11, 1, tzinfo=UTC)
    named = {"STACKBUILD_CREDENTIAL_BOOKWORM": "bob:pw"}
    snapshot = f"{SNAPSHOT}/debian/20261101T000000Z"
    assert places.places(archive, "bookworm", places.read_host(named, tmp_path), moments=(moment,)) == (
        "https://al:p%2Fw@listed.example/debian",
        "https://own:login@entry.example/debian",
        snapshot,
    )
    mirrors = {**named, "STACKBUILD_MIRROR_BOOKWORM": "https://mirror.example/debian/ https://x:y@two.example"}
    assert places.places(archive, "bookworm", places.read_host(mirrors, tmp_path), moments=(moment,)) == (
        "https://bob:pw@mirror.example/debian",
        "https://bob:pw@two.example",
        snapshot,
    )
