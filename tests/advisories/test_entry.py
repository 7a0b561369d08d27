"""An entry is foreign: what it says is taken or refused, and nothing else happens."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.advisories.entry import LONGEST, Advisory, Affected, of_row, parse, row
from builder.errors import HostileInput
from tests.osv import affected, encoded, entry

JINJA = entry(
    "GHSA-cpwx-vrp4-4pq7",
    affected("PyPI", "Jinja2", {"introduced": "0"}, {"fixed": "3.1.6"}, versions=["3.1.5"]),
    aliases=["CVE-2025-27516", "PYSEC-2025-1"],
    severity=[{"type": "CVSS_V4", "score": "CVSS:4.0/AV:L/AC:L/AT:P/PR:L/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"}],
    database_specific={"severity": "MODERATE", "cwe_ids": ["CWE-1336"]},
)


def test_an_entry() -> None:
    (found,) = parse(encoded(JINJA), "here")
    assert found == Advisory(
        id="GHSA-cpwx-vrp4-4pq7",
        ecosystem="PyPI",
        name="jinja2",
        aliases=("CVE-2025-27516", "PYSEC-2025-1"),
        summary="GHSA-cpwx-vrp4-4pq7 in short",
        modified="2026-02-01T00:00:00Z",
        vectors=(("CVSS_V4", JINJA["severity"][0]["score"]),),
        word="MODERATE",
        url="https://osv.dev/GHSA-cpwx-vrp4-4pq7",
        affected=(Affected(ranges=((("introduced", "0"), ("fixed", "3.1.6")),), versions=("3.1.5",)),),
    )


def test_of_several_packages_each_has_its_own() -> None:
    document = entry(
        "DSA-1-1",
        affected("Debian:12", "openssl", {"introduced": "0"}, {"fixed": "3"}),
        affected("Debian:13", "openssl", {"introduced": "0"}, {"fixed": "4"}),
        affected("Debian:12", "openssl", versions=["2"]),
        upstream=["CVE-2026-1", "CVE-2026-2"],
    )
    found = {(one.ecosystem, one.name): one for one in parse(encoded(document), "here")}
    assert set(found) == {("Debian:12", "openssl"), ("Debian:13", "openssl")}
    assert len(found["Debian:12", "openssl"].affected) == 2
    assert found["Debian:13", "openssl"].upstream == ("CVE-2026-1", "CVE-2026-2")


def test_withdrawn_entries_say_nothing() -> None:
    assert parse(encoded({**JINJA, "withdrawn": "2026-03-01T00:00:00Z"}), "here") == ()


def test_commits_are_passed_over() -> None:
    git = {"type": "GIT", "repo": "https://example.com/x", "events": [{"introduced": "0"}, {"fixed": "6dcb09b"}]}
    document = entry("OSV-1", {"ranges": [git]}, affected("npm", "ws", ranges=[git]))
    (found,) = parse(encoded(document), "here")
    assert found.affected == (Affected(),)


@pytest.mark.parametrize(
    "document",
    [
        [],
        3,
        {},
        {"id": 3},
        {"id": "../../etc/passwd\n"},
        {"id": "x" * 200},
        entry("A", {"package": {"ecosystem": "PyPI"}}),
        entry("A", {"package": "PyPI"}),
        entry("A", affected("PyPI", "n" * 300)),
        entry("A", affected("PyPI", "\ud800")),
        entry("A", affected("PyPI", "n", {"introduced": "0", "fixed": "1"})),
        entry("A", affected("PyPI", "n", {"introduced": 0})),  # type: ignore[dict-item]
        entry("A", affected("PyPI", "n", {"introduced": "1" * 5000})),
        entry("A", affected("PyPI", "n", versions="1.0")),
        entry("A", affected("PyPI", "n", versions=["1"] * 100_001)),
        entry("A", affected("PyPI", "n", ranges=[{"events": []}])),
        entry("A", affected("PyPI", "n"), aliases={"a": 1}),
        entry("A", affected("PyPI", "n"), severity=[{"type": "CVSS_V3"}]),
    ],
    ids=str,
)
def test_nonsense_is_refused(document: Any) -> None:
    with pytest.raises(HostileInput):
        parse(encoded(document), "here")


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[" * 200_000, b" " * (LONGEST + 1), b"NaN", b"1" * 5000])
def test_what_is_no_json_is_refused(data: bytes) -> None:
    with pytest.raises(HostileInput):
        parse(data, "here")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(JINJA)), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(sorted(JINJA)), JSON, JSON)
def test_any_member_may_be_anything(key: str, value: object, package: object) -> None:
    """It is an entry, or HostileInput: nothing else is raised."""
    for document in ({**JINJA, key: value}, {**JINJA, "affected": [{**JINJA["affected"][0], "ranges": package}]}):
        try:
            found = parse(encoded(document), "here")
        except HostileInput:
            continue
        assert all(isinstance(one, Advisory) for one in found)


def test_a_row_of_the_index_is_the_same_advisory() -> None:
    (found,) = parse(encoded(JINJA), "here")
    assert of_row(json.loads(json.dumps(row(found))), "PyPI", "jinja2") == found


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "http://example.com/plain",
        "https://user@example.com/",
        "https://example.com/) ![x](https://evil.example/x",
        "https://example.com/`|<img>",
        "https://example.com/\nnext",
        "https://exämple.com/",
        "https://example.com/" + "x" * 300,
        17,
        None,
    ],
)
def test_a_url_that_somebody_might_act_upon_counts_as_none(url: object) -> None:
    references = [{"type": "WEB", "url": "https://example.com/web"}, {"type": "ADVISORY", "url": url}]
    (found,) = parse(encoded({**JINJA, "references": references}), "here")
    assert found.url == ""
    references.append({"type": "ADVISORY", "url": "https://example.com/a/b?c=d&e=%20#f"})
    (found,) = parse(encoded({**JINJA, "references": references}), "here")
    assert found.url == "https://example.com/a/b?c=d&e=%20#f"
