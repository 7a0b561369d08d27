from __future__ import annotations

from datetime import UTC, datetime

import pytest

from builder.errors import HostileInput
from builder.kinds.apt import release
from builder.kinds.apt.release import TooNewError

HEX = "ab" * 32
TEXT = f"""\
Suite: oldstable-security
Codename: bookworm-security
Date: Wed, 18 Nov 2026 22:17:41 UTC
Valid-Until: Wed, 25 Nov 2026 22:17:41 UTC
Acquire-By-Hash: yes
Architectures: amd64 arm64
MD5Sum:
 d41d8cd98f00b204e9800998ecf8427e 7 main/binary-amd64/Packages.xz
SHA256:
 {HEX} 1234 main/binary-amd64/Packages.xz
"""


def parsed(text: str = TEXT) -> release.Release:
    return release.parse(text, where="here")


def day(number: int, month: int = 11) -> datetime:
    return datetime(2026, month, number, tzinfo=UTC)


def test_fields_and_files() -> None:
    found = parsed()
    assert (found.suite, found.codename, found.stamp) == (
        "oldstable-security",
        "bookworm-security",
        "20261118T221741Z",
    )
    assert found.by_hash and not found.all_apart
    listed = found.files["main/binary-amd64/Packages.xz"]
    assert (listed.digest, listed.size) == ("sha256:" + HEX, 1234)


@pytest.mark.parametrize(
    "text",
    [
        TEXT.replace("Date: Wed", "X: Wed"),
        TEXT.replace("18 Nov", "99 Nov"),
        TEXT.replace(" 1234 ", " "),
        TEXT.replace(" 1234 ", " -2 "),
        TEXT.replace(" 1234 ", " 1_234 "),
        TEXT.replace(HEX, "ab"),
        TEXT + "Suite: stable\n",
    ],
)
def test_malformed(text: str) -> None:
    with pytest.raises(HostileInput):
        parsed(text)


def test_asked_by_codename_or_suite_and_by_nothing_else() -> None:
    release.refuse_other_suite(parsed(), "bookworm-security", where="here")
    release.refuse_other_suite(parsed(), "oldstable-security", where="here")
    with pytest.raises(HostileInput, match="another suite"):
        release.refuse_other_suite(parsed(), "bookworm", where="here")


def test_newer_than_the_cutoff() -> None:
    release.refuse_untimely(parsed(), cutoff=day(19), now=day(20), where="here")
    release.refuse_untimely(parsed(), cutoff=None, now=day(20), where="here")
    with pytest.raises(TooNewError) as caught:
        release.refuse_untimely(parsed(), cutoff=day(1), now=day(20), where="here")
    assert "2026-11-01" in caught.value.expected and "2026-11-18" in caught.value.got


def test_expired_by_the_earlier_of_now_and_the_cutoff() -> None:
    release.refuse_untimely(parsed(), cutoff=day(20), now=day(1, 12), where="here")
    for cutoff in (None, day(30)):
        with pytest.raises(HostileInput, match="expired"):
            release.refuse_untimely(parsed(), cutoff=cutoff, now=day(1, 12), where="here")
