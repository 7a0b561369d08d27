"""The order of versions, against dpkg's own."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builder.kinds.apt import version

OPERATORS = {"<<": "lt", "<=": "le", "=": "eq", ">=": "ge", ">>": "gt"}


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("1.0~rc1", "1.0"),
        ("1.0", "1.0a"),
        ("1.0a", "1.0+"),
        ("1.0", "1.0-1"),
        ("1.9", "1.10"),
        ("9.0", "1:0.1"),
        ("1.0-1~deb12u1", "1.0-1"),
        ("1.0~~", "1.0~~a"),
        ("1-1-1", "1-1-2"),
        ("2.36-9+deb12u9", "2.36-9+deb12u10"),
    ],
)
def test_known_pairs(earlier: str, later: str) -> None:
    assert version.key(earlier) < version.key(later)
    assert version.holds(earlier, "<<", later)
    assert not version.holds(earlier, ">=", later)


@pytest.mark.parametrize(("one", "other"), [("1.0", "0:1.0"), ("1.0", "1.0-0"), ("1.00", "1.0"), ("1.", "1.0")])
def test_equal_though_written_apart(one: str, other: str) -> None:
    assert version.key(one) == version.key(other)


def test_no_operator_always_holds() -> None:
    assert version.holds("1", "", "")


PART = st.text(alphabet="019a.+~Z", min_size=0, max_size=6)
VERSIONS = st.builds(
    lambda epoch, first, upstream, revision: f"{epoch}{first}{upstream}{revision}",
    st.sampled_from(["", "0:", "1:", "12:"]),
    st.sampled_from("0129"),
    PART,
    st.sampled_from(["", "-0", "-1", "-1~a", "-0+b1", "-2-3"]),
)


@given(st.lists(st.tuples(VERSIONS, VERSIONS), min_size=1, max_size=20))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_equals_dpkg(needed, pairs: list[tuple[str, str]]) -> None:  # type: ignore[no-untyped-def]
    needed(shutil.which("dpkg") is not None, "dpkg is not installed")
    for left, right in pairs:
        for operator, word in OPERATORS.items():
            code = subprocess.run(["dpkg", "--compare-versions", left, word, right], check=False).returncode
            assert version.holds(left, operator, right) == (code == 0), (left, operator, right)
