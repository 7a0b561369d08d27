"""Which versions an advisory is about: against a slow reading of the schema's own pseudo-code, and its examples."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.advisories.entry import Affected, Event
from builder.advisories.ranges import affects, first_fixed
from builder.kinds.apt import osv as apt
from builder.kinds.npm import osv as npm
from builder.kinds.pip import osv as pip

VERSIONS = [f"{major}.{minor}" for major in range(1, 6) for minor in range(3)]
VERSION = st.sampled_from(VERSIONS)
EVENT = st.one_of(
    st.tuples(st.just("introduced"), st.sampled_from(["0", *VERSIONS])),
    st.tuples(st.sampled_from(["fixed", "last_affected"]), VERSION),
    st.tuples(st.just("limit"), st.sampled_from(["*", *VERSIONS])),
)


def number(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def slow(events: list[Event], version: str) -> bool:
    """The schema's `IncludedInRanges`, word for word; each event at another version, so that the order is one."""

    def before_limits() -> bool:
        limits = [said for kind, said in events if kind == "limit"]
        return not limits or any(said == "*" or number(version) < number(said) for said in limits)

    vulnerable = False
    if not before_limits():
        return False
    switches = [one for one in events if one[0] != "limit"]
    for kind, said in sorted(switches, key=lambda one: (-1,) if one[1] == "0" else number(one[1])):
        if kind == "introduced" and (said == "0" or number(version) >= number(said)):
            vulnerable = True
        elif (kind == "fixed" and number(version) >= number(said)) or (
            kind == "last_affected" and number(version) > number(said)
        ):
            vulnerable = False
    return vulnerable


@given(st.lists(EVENT, max_size=6, unique_by=lambda one: (one[0] == "limit", one[1])), VERSION)
def test_ranges_are_evaluated_as_the_schema_has_it(events: list[Event], version: str) -> None:
    said = affects([Affected(ranges=(tuple(events),))], version, pip.order)
    assert said == slow(events, version)
    assert said == affects([Affected(ranges=(tuple(reversed(events)),))], version, pip.order), "in whatever order"


@given(st.lists(st.lists(EVENT, max_size=4), max_size=3), st.lists(VERSION, max_size=3), VERSION)
def test_ranges_and_versions_add_up(ranges: list[list[Event]], versions: list[str], version: str) -> None:
    whole = [Affected(ranges=tuple(map(tuple, ranges)), versions=tuple(versions))]
    parts = [Affected(ranges=(tuple(one),)) for one in ranges] + [Affected(versions=tuple(versions))]
    assert affects(whole, version, pip.order) == any(affects([one], version, pip.order) for one in parts)


@given(st.lists(st.lists(EVENT, max_size=4), max_size=3), VERSION)
def test_the_first_fixed_version_is_above_and_not_affected(ranges: list[list[Event]], version: str) -> None:
    found = [Affected(ranges=tuple(map(tuple, ranges)))]
    fixed = first_fixed(found, version, pip.order)
    ends = {said for events in ranges for kind, said in events if kind == "fixed"}
    good = [end for end in ends if number(end) > number(version) and not affects(found, end, pip.order)]
    assert fixed == min(good, key=number, default="")


@pytest.mark.parametrize(
    ("version", "expected"),
    [("3.0.11-1~deb12u2", True), ("3.0.14-1~deb12u1", False), ("3.0.14-1~deb12u1~bpo", True), ("1:0.1", False)],
)
def test_debian_s_order(version: str, expected: bool) -> None:
    events = (("introduced", "0"), ("fixed", "3.0.14-1~deb12u1"))
    assert affects([Affected(ranges=(events,))], version, apt.order) is expected


@pytest.mark.parametrize(
    ("version", "expected"),
    [("7.5.9", False), ("8.0.0-beta.1", False), ("8.0.0", True), ("8.17.0-rc.1", True), ("8.17.1", False)],
)
def test_npm_s_order(version: str, expected: bool) -> None:
    events = (("introduced", "8.0.0"), ("fixed", "8.17.1"))
    assert affects([Affected(ranges=(events,))], version, npm.order) is expected


@pytest.mark.parametrize(
    ("version", "expected"),
    [("2.0", True), ("2.0.post1", True), ("2.0rc1", False), ("2.1.0", False), ("2!1", False), ("2.1.dev0", True)],
)
def test_python_s_order(version: str, expected: bool) -> None:
    events = (("introduced", "2"), ("fixed", "2.1"))
    assert affects([Affected(ranges=(events,))], version, pip.order) is expected


def test_versions_are_equal_however_they_are_written() -> None:
    assert affects([Affected(versions=("1.0.0",))], "1.0", pip.order)
    assert not affects([Affected(versions=("1.0.0",))], "1.0.1", pip.order)


def test_what_was_never_there() -> None:
    """Debian's entries say `fixed: 0` of releases that never had it; `~` sorts before everything else."""
    assert not affects([Affected(ranges=((("introduced", "0"), ("fixed", "0")),))], "0~git1", apt.order)


def test_two_branches_are_fixed_each_in_its_own() -> None:
    events = (("introduced", "1.0"), ("fixed", "1.5"), ("introduced", "2.0"), ("fixed", "2.3"))
    found = [Affected(ranges=(events,))]
    assert first_fixed(found, "1.2", pip.order) == "1.5"
    assert first_fixed(found, "2.1", pip.order) == "2.3"
    assert first_fixed([Affected(ranges=((("introduced", "0"),),))], "1", pip.order) == ""


@given(st.text(max_size=20), st.text(max_size=20))
def test_every_text_has_a_place(one: str, other: str) -> None:
    """A foreign database may call anything a version."""
    for order in (apt.order, npm.order, pip.order):
        assert (order(one) < order(other)) + (order(one) == order(other)) + (order(one) > order(other)) == 1
