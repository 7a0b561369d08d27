"""The solver on archives small enough to be solved by eye."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from builder.errors import StackbuildError
from builder.kinds.apt import solve
from builder.kinds.apt.package import of_pin
from builder.kinds.apt.relation import Atom
from builder.kinds.apt.solve import Problem, Solution
from builder.kinds.apt.universe import Universe

Stanza = Callable[..., str]


def answer(universe: Universe, *asked: str, **options: object) -> Solution:
    pairs = (item.partition("==")[::2] for item in asked)
    atoms = tuple(Atom(name=name, operator="=" if version else "", version=version) for name, version in pairs)
    return solve.solve(replace(Problem(universe=universe, requests=atoms), **options))  # type: ignore[arg-type]


def names(universe: Universe, *asked: str, **options: object) -> list[str]:
    return [f"{one.name}={one.version}" for one in answer(universe, *asked, **options).packages]


def inherited(universe: Universe, *names: str) -> tuple[object, ...]:
    return tuple(of_pin(universe.versions(name)[0].pin, image="base") for name in names)


def test_dependencies_of_dependencies(stanza: Stanza, universe: Callable[..., Universe]) -> None:
    found = answer(universe(stanza("a", Depends="b"), stanza("b", Pre_Depends="c"), stanza("c"), stanza("d")), "a")
    assert [one.name for one in found.packages] == ["a", "b", "c"]
    assert found.via == {"a": "stacks.toml", "b": "a", "c": "b"}


def test_first_alternative_unless_another_is_there(stanza: Stanza, universe: Callable[..., Universe]) -> None:
    toy = universe(stanza("a", Depends="x | y"), stanza("x"), stanza("y"))
    assert names(toy, "a") == ["a=1", "x=1"]
    assert names(toy, "a", "y") == ["a=1", "y=1"]
    assert names(toy, "a", inherited=inherited(toy, "y")) == ["a=1"]


def test_alternative_that_cannot_be_installed_is_passed_over(stanza: Stanza, universe: Callable[..., Universe]) -> None:
    toy = universe(stanza("a", Depends="x | y"), stanza("x", Depends="missing"), stanza("y"))
    assert names(toy, "a") == ["a=1", "y=1"]


def test_virtual_package_by_priority_then_last_in_the_index(stanza: Stanza, universe: Callable[..., Universe]) -> None:
    toy = universe(
        stanza("a", Depends="mta"),
        stanza("exim", Provides="mta", Priority="optional"),
        stanza("postfix", Provides="mta", Priority="standard"),
        stanza("zmail", Provides="mta", Priority="optional"),
    )
    assert names(toy, "a") == ["a=1", "postfix=1"]
    same = universe(stanza("a", Depends="mta"), stanza("m", Provides="mta"), stanza("n", Provides="mta"))
    assert names(same, "a") == ["a=1", "n=1"]


def test_versioned_provides(stanza: Stanza, universe: Callable[..., Universe]) -> None:
    toy = universe(
        stanza("a", Depends="api (>= 2)"),
        stanza("old", Provides="api (= 1)"),
        stanza("bare", Provides="api"),
        stanza("new", Provides="api (= 2)"),
    )
    assert names(toy, "a") == ["a=1", "new=1"]


def test_any_needs_multi_arch_allowed(stanza: Stanza, universe: Callable[..., Universe]) -> None:
    good = universe(stanza("a", Depends="py:any"), stanza("py", Multi_Arch="allowed"))
    assert names(good, "a") == ["a=1", "py=1"]
    with pytest.raises(StackbuildError, match="a 1 needs py:any"):
        names(universe(stanza("a", Depends="py:any"), stanza("py")), "a")


def test_other_architectures_are_not_meant(stanza: Stanza, universe: Callable[..., Universe]) -> None:
    """`libc6-i386 Conflicts: libc6-x32:i386` kept amd64's libc6-x32 out, so gcc-multilib had no solution."""
    toy = universe(stanza("a", Conflicts="x32:i386", Depends="x32:amd64"), stanza("x32"))
    assert names(toy, "a", "x32") == ["a=1", "x32=1"]
    with pytest.raises(StackbuildError, match="a 1 needs x32:i386"):
        names(universe(stanza("a", Depends="x32:i386"), stanza("x32")), "a")


def test_essential_packages_of_a_root(stanza: Stanza, universe: Callable[..., Universe]) -> None:
    toy = universe(stanza("bash", Essential="yes", Depends="libc"), stanza("libc"), stanza("curl"))
    found = answer(toy, "curl", root=True)
    assert [one.name for one in found.packages] == ["bash", "curl", "libc"]
    assert found.via["bash"] == "essential"
    assert names(toy, "curl") == ["curl=1"]


def test_recommended_only_when_asked_and_possible(stanza: Stanza, universe: Callable[..., Universe]) -> None:
    toy = universe(stanza("a", Recommends="b, gone, c"), stanza("b"), stanza("c", Conflicts="b"))
    assert names(toy, "a") == ["a=1"]
    assert names(toy, "a", recommends=True) == ["a=1", "b=1"]


def test_conflict_sends_the_search_back(stanza: Stanza, universe: Callable[..., Universe]) -> None:
    toy = universe(stanza("a", Depends="x | y, z"), stanza("x"), stanza("y"), stanza("z", Conflicts="x"))
    assert names(toy, "a") == ["a=1", "y=1", "z=1"]


def test_breaks_of_an_older_version_only(stanza: Stanza, universe: Callable[..., Universe]) -> None:
    toy = universe(stanza("a", Depends="b, c"), stanza("b", Breaks="c (<< 2)"), stanza("c", "1"), stanza("c", "2"))
    assert names(toy, "a") == ["a=1", "b=1", "c=2"]


def test_conflict_with_what_one_provides_oneself(stanza: Stanza, universe: Callable[..., Universe]) -> None:
    toy = universe(
        stanza("a", Provides="mta", Conflicts="mta"),
        stanza("b", Provides="mta", Conflicts="mta"),
        stanza("c", Depends="mta"),
    )
    assert names(toy, "a", "c") == ["a=1", "c=1"]
    with pytest.raises(StackbuildError, match="conflict"):
        names(toy, "a", "b")


def test_old_pins_are_kept_unless_upgraded(stanza: Stanza, universe: Callable[..., Universe]) -> None:
    toy = universe(stanza("a", Depends="b"), stanza("b", "1"), stanza("b", "2"))
    assert names(toy, "a") == ["a=1", "b=2"]
    assert names(toy, "a", keep={"b": "1"}) == ["a=1", "b=1"]
    assert names(toy, "a", keep={"b": "0.9"}) == ["a=1", "b=2"]
    assert names(toy, "a", newest=frozenset({"b"})) == ["a=1", "b=2"]


def test_old_choice_among_alternatives_is_kept(stanza: Stanza, universe: Callable[..., Universe]) -> None:
    toy = universe(stanza("a", Depends="x | y"), stanza("x"), stanza("y"))
    assert names(toy, "a", keep={"y": "1"}) == ["a=1", "y=1"]


def test_upgrade_moves_what_it_forces(stanza: Stanza, universe: Callable[..., Universe]) -> None:
    toy = universe(
        stanza("a", Depends="lib, tool"),
        stanza("lib", "1"),
        stanza("lib", "2"),
        stanza("tool", "1", Depends="lib (= 1)"),
        stanza("tool", "2", Depends="lib (= 2)"),
    )
    old = {"a": "1", "lib": "1", "tool": "1"}
    assert names(toy, "a", keep=old) == ["a=1", "lib=1", "tool=1"]
    moved = {"a": "1", "lib": "1"}
    assert names(toy, "a", keep=moved, newest=frozenset({"tool"})) == ["a=1", "lib=2", "tool=2"]


def test_requested_version(stanza: Stanza, universe: Callable[..., Universe]) -> None:
    toy = universe(stanza("a", "1"), stanza("a", "2"))
    assert names(toy, "a==1") == ["a=1"]
    with pytest.raises(StackbuildError) as caught:
        names(toy, "a==3")
    assert caught.value.lines() == [
        "no such version: a 3",
        "  archive debian: test of 20260711T101637Z",
        "  expected: a 3",
        "  got: a 2 (test), a 1 (test)",
        "  next: ask for one of these, or move exclude-newer to a day when the archive had it",
    ]


def test_unknown_name(stanza: Stanza, universe: Callable[..., Universe]) -> None:
    with pytest.raises(StackbuildError) as caught:
        names(universe(stanza("ffmpeg")), "ffmpg")
    assert caught.value.lines() == [
        "no package is called ffmpg",
        "  archive debian: test of 20260711T101637Z",
        "  got: did you mean ffmpeg?",
        "  next: correct the name in stacks.toml, or add the suite that has it",
    ]


def test_every_unknown_name_is_told_at_once(stanza: Stanza, universe: Callable[..., Universe]) -> None:
    with pytest.raises(StackbuildError) as caught:
        names(universe(stanza("a", Provides="virt")), "nope", "virt")
    assert "no package is called nope" in str(caught.value)
    assert "virt is a virtual package" in str(caught.value)


def test_conflict_names_both_sides_and_the_chain(stanza: Stanza, universe: Callable[..., Universe]) -> None:
    toy = universe(
        stanza("a", Depends="mid"),
        stanza("mid", Depends="leaf"),
        stanza("leaf", Conflicts="other"),
        stanza("other"),
    )
    with pytest.raises(StackbuildError) as caught:
        names(toy, "a", "other")
    assert caught.value.lines() == [
        "packages conflict: mid 1 needs leaf",
        "  because stacks.toml → a → mid",
        "  got: leaf 1: leaf 1 refuses other, and other 1 is that; needed so: stacks.toml → other",
        "  next: take one side out of stacks.toml, or pin a version of it that fits",
    ]


def test_child_may_not_move_an_inherited_pin(stanza: Stanza, universe: Callable[..., Universe]) -> None:
    toy = universe(stanza("lib", "2"), stanza("lib", "1"), stanza("dev", "1", Depends="lib (= 2)"))
    above = (of_pin(toy.versions("lib")[1].pin, image="jupyter"),)
    with pytest.raises(StackbuildError) as caught:
        names(toy, "dev", inherited=above)
    assert caught.value.lines() == [
        "child may not move its parent: dev 1 needs lib (= 2), jupyter pins 1",
        "  because stacks.toml → dev",
        "  got: lib 2: lib 1 is pinned by its ancestor jupyter",
        "  next: stackbuild lock jupyter --upgrade-package lib",
    ]


def test_request_of_another_version_than_inherited(stanza: Stanza, universe: Callable[..., Universe]) -> None:
    toy = universe(stanza("lib", "2"), stanza("lib", "1"))
    above = (of_pin(toy.versions("lib")[1].pin, image="base"),)
    assert names(toy, "lib", inherited=above) == []
    with pytest.raises(StackbuildError, match="child may not move its parent"):
        names(toy, "lib==2", inherited=above)


def test_inherited_provides_and_conflicts_count(stanza: Stanza, universe: Callable[..., Universe]) -> None:
    toy = universe(stanza("mawk", Provides="awk", Conflicts="gawk"), stanza("a", Depends="awk"), stanza("gawk"))
    above = inherited(toy, "mawk")
    assert names(toy, "a", inherited=above) == ["a=1"]
    with pytest.raises(StackbuildError, match="conflict"):
        names(toy, "gawk", inherited=above)


def test_missing_dependency(stanza: Stanza, universe: Callable[..., Universe]) -> None:
    with pytest.raises(StackbuildError) as caught:
        names(universe(stanza("a", Depends="b (>= 2) | gone"), stanza("b", "1")), "a")
    assert caught.value.lines() == [
        "unmet dependency: a 1 needs b (>= 2) | gone",
        "  because stacks.toml → a",
        "  archive debian: test of 20260711T101637Z",
        "  got: b 1 (test)",
        "       no package is called gone, and none provides it so",
        "  next: add the suite or component that has it, or take the request out of stacks.toml",
    ]


def test_unrelated_choices_are_not_tried_again(stanza: Stanza, universe: Callable[..., Universe]) -> None:
    """Twenty free choices before a hopeless request: chronological backtracking would need 2^20 steps."""
    free = [stanza(f"f{n:02}", Depends=f"x{n:02} | y{n:02}") for n in range(20)]
    leaves = [stanza(f"{side}{n:02}") for n in range(20) for side in "xy"]
    toy = universe(*free, *leaves, stanza("zz", Depends="gone"))
    with pytest.raises(StackbuildError, match="unmet dependency: zz 1 needs gone"):
        names(toy, *(f"f{n:02}" for n in range(20)), "zz")


def test_circles_end(stanza: Stanza, universe: Callable[..., Universe]) -> None:
    assert names(universe(stanza("a", Depends="b"), stanza("b", Depends="a")), "a") == ["a=1", "b=1"]
