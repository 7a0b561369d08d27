"""Severity is what an entry says: scores that FIRST and others have published for their vectors, never a guess."""

from __future__ import annotations

import pytest

from builder.advisories.entry import Advisory
from builder.advisories.severity import Severity, severity


def of(*vectors: tuple[str, str], word: str = "") -> Severity:
    return severity([Advisory(id="A", ecosystem="PyPI", name="n", vectors=vectors, word=word)])


@pytest.mark.parametrize(
    ("kind", "vector", "told"),
    [
        # The examples of FIRST's documents: CVE-2014-0160, CVE-2013-1937, CVE-2002-0392, CVE-2021-44228.
        ("CVSS_V3", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N", "high 7.5"),
        ("CVSS_V3", "CVSS:3.0/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N", "medium 6.1"),
        ("CVSS_V2", "AV:N/AC:L/Au:N/C:N/I:N/A:C", "high 7.8"),
        ("CVSS_V3", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H", "critical 10.0"),
        ("CVSS_V4", "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:H/SI:H/SA:H", "critical 10.0"),
        ("CVSS_V3", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N", "none 0.0"),
    ],
)
def test_scores_follow_from_vectors(kind: str, vector: str, told: str) -> None:
    assert str(of((kind, vector))) == told


def test_the_highest_of_several_counts() -> None:
    low, high = "CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"
    assert of(("CVSS_V3", high), ("CVSS_V3", low)).level == "critical"


@pytest.mark.parametrize(
    ("word", "level"), [("MODERATE", "medium"), ("HIGH", "high"), ("wild", "unknown"), ("", "unknown")]
)
def test_words_count_where_there_is_no_vector(word: str, level: str) -> None:
    assert of(word=word) == Severity(level)
    assert of(("Ubuntu", word)) == Severity(level)


@pytest.mark.parametrize("vector", ["", "CVSS:3.1/AV:N", "CVSS:3.1/" + "AV:N/" * 40, "7.5", "CVSS:9/AV:N"])
def test_what_is_no_vector_is_unknown(vector: str) -> None:
    assert of(("CVSS_V3", vector)).level == "unknown"
    assert of(("CVSS_V3", vector), word="LOW").level in {"low", "unknown"}
