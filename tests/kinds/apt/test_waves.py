"""Waves: all packages once, each after or with what it needs, the same for every order of the input."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from builder.kinds.apt.deb import Deb
from builder.kinds.apt.waves import FIRST, waves


def deb(name: str, size: int = FIRST, postinst: str = "", **fields: str) -> Deb:
    lines = [
        f"Package: {name}",
        "Architecture: all",
        *(f"{key.replace('_', '-')}: {text}" for key, text in fields.items()),
    ]
    return Deb(
        "", "\n".join(lines), {"postinst": (0o755, postinst.encode())} if postinst else {}, ("data.tar", 0, size)
    )


def names(*debs: Deb) -> list[list[str]]:
    return [[one.key for one in wave] for wave in waves(debs)]


def test_nothing_is_one_empty_wave() -> None:
    assert names() == [[]]


def test_few_bytes_are_one_wave() -> None:
    assert names(deb("a", 5), deb("b", FIRST), deb("c", 5)) == [["a", "b", "c"]]


def test_each_wave_is_twice_the_one_before() -> None:
    assert [len(wave) for wave in names(*[deb(f"p{number:02}") for number in range(12)])] == [1, 2, 4, 5]


def test_what_has_a_postinst_comes_first_with_its_needs() -> None:
    found = names(
        deb("a"),
        deb("b"),
        deb("c", postinst="x", Depends="none | d (>= 1) [amd64], e:any"),
        deb("d"),
        deb("x", Provides="e (= 1)"),
    )
    assert found == [["c", "d", "x"], ["a", "b"]]


def test_a_cycle_stays_together() -> None:
    assert names(deb("a", Depends="b"), deb("b", Pre_Depends="a"), deb("c")) == [["c"], ["a", "b"]]


def test_who_enables_units_comes_with_systemd() -> None:
    """dirmngr's sockets were linked by another path than without waves."""
    found = names(deb("a", postinst="deb-systemd-helper enable"), deb("b", postinst="x"), deb("systemd"))
    assert found == [["b"], ["a", "systemd"]]


@given(
    st.lists(st.tuples(st.integers(0, 3 * FIRST), st.booleans(), st.sets(st.integers(0, 11))), max_size=12),
    st.randoms(use_true_random=False),
)
def test_waves_are_closed(rows: list[tuple[int, bool, set[int]]], random: object) -> None:
    debs = [
        deb(f"p{number:02}", size, "x" if script else "", Depends=", ".join(f"p{one:02}" for one in sorted(needs)))
        for number, (size, script, needs) in enumerate(rows)
    ]
    found = names(*debs)
    assert sorted(key for wave in found for key in wave) == [one.key for one in debs]
    assert all(found) or not debs
    place = {key: number for number, wave in enumerate(found) for key in wave}
    for number, (_, _, needs) in enumerate(rows):
        assert all(place[f"p{one:02}"] <= place[f"p{number:02}"] for one in needs if one < len(rows))
    mixed = list(debs)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    assert [set(wave) for wave in names(*mixed)] == [set(wave) for wave in found]
