"""Hits: what a database says of packages that somebody has, each vulnerability once; and two states compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest

from builder.advisories.entry import Advisory, parse
from builder.advisories.hits import Hit, Subject, compared, hits
from builder.ecosystem import Known
from tests.osv import affected, encoded, entry


@dataclass
class Entries:
    """A database in memory."""

    documents: tuple[dict[str, Any], ...]

    def about(self, packages: frozenset[Known]) -> Mapping[tuple[str, str], tuple[Advisory, ...]]:
        found: dict[tuple[str, str], list[Advisory]] = {}
        for one in (each for document in self.documents for each in parse(encoded(document), "here")):
            found.setdefault((one.ecosystem, one.name), []).append(one)
        return {key: tuple(each) for key, each in found.items()}


def python(name: str, version: str) -> Subject:
    return Subject(kind="pip", name=name, version=version, image="lab", known=(Known("PyPI", name, version),))


def debian(name: str, source: str, version: str) -> Subject:
    known = (Known("Debian:12", source, version), Known("Debian", source, version))
    return Subject(kind="apt", name=name, version=version, image="base", known=known)


def test_entries_with_a_common_alias_are_one() -> None:
    database = Entries(
        (
            entry("PYSEC-1", affected("PyPI", "a", {"introduced": "0"}, {"fixed": "2"}), aliases=["CVE-1"]),
            entry(
                "GHSA-1",
                affected("PyPI", "a", {"introduced": "0"}, {"fixed": "3"}),
                aliases=["CVE-1"],
                database_specific={"severity": "HIGH"},
            ),
            entry("GHSA-9", affected("PyPI", "a", {"introduced": "0"}, {"fixed": "1.5"})),
        )
    )
    first, second = hits(database, [python("a", "1")])
    assert (second.id, second.fixed, second.severity.level) == ("GHSA-1", "3", "high")
    assert second.aliases == ("CVE-1", "PYSEC-1"), "CVEs first; fixed is where none of them has it any more"
    assert (first.id, first.fixed, first.severity.level) == ("GHSA-9", "1.5", "unknown")


def test_upstream_names_are_told_and_do_not_join() -> None:
    """A DSA is about several CVEs, so two entries that have one of these upstream are not the same."""
    database = Entries(
        (
            entry("DEBIAN-CVE-1", affected("Debian:12", "openssl", {"introduced": "0"}), upstream=["CVE-1"]),
            entry("DSA-1-1", affected("Debian:12", "openssl", {"introduced": "0"}), upstream=["CVE-1", "CVE-2"]),
        )
    )
    found = hits(database, [debian("libssl3", "openssl", "3.0")])
    assert [(one.id, one.aliases) for one in found] == [("DEBIAN-CVE-1", ("CVE-1",)), ("DSA-1-1", ("CVE-1", "CVE-2"))]


def test_releases_are_told_apart() -> None:
    database = Entries(
        (
            entry("A", affected("Debian:13", "openssl", {"introduced": "0"})),
            entry("B", affected("Debian", "openssl", {"introduced": "0"}, {"fixed": "3.1"})),
        )
    )
    assert [one.id for one in hits(database, [debian("libssl3", "openssl", "3.0")])] == ["B"]


def test_a_package_that_no_database_knows_has_none() -> None:
    database = Entries((entry("A", affected("PyPI", "a", {"introduced": "0"})),))
    assert hits(database, [replace(python("a", "1"), known=())]) == ()


@pytest.mark.parametrize("version", ["1", "1.9", "2.0rc1"])
def test_what_a_move_fixes(version: str) -> None:
    database = Entries(
        (
            entry("A", affected("PyPI", "a", {"introduced": "0"}, {"fixed": "2"}), aliases=["CVE-A"]),
            entry("B", affected("PyPI", "a", {"introduced": "0"})),
            entry("C", affected("PyPI", "a", {"introduced": "2"})),
            entry("D", affected("PyPI", "gone", {"introduced": "0"})),
        )
    )
    before = hits(database, [python("a", version), python("gone", "1")])
    found = compared(before, hits(database, [python("a", "2")]))

    def ids(some: tuple[Hit, ...]) -> list[str]:
        return [one.id for one in some]

    assert (ids(found.fixed), ids(found.open), ids(found.new)) == (["A", "D"], ["B"], ["C"])
