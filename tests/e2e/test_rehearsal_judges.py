"""The judges of the rehearsal find what is wrong: each is given locks, or words about them, that are."""

from __future__ import annotations

import hashlib

import pytest

from tests.e2e.rehearsal import compared, forced
from tests.e2e.rehearsal.compared import differing, needless, wrong
from tests.e2e.rehearsal.forced import Step, faults, unforced
from tests.e2e.rehearsal.texts import Locks, Text, parse

CHAIN = (("low", "cpu"), ("high", "cpu"))
CHAINS = {"low:cpu@linux/amd64": CHAIN[:1], "high:cpu@linux/amd64": CHAIN}


def text(requests: str, *pins: str) -> Text:
    """Requests, and pins such as `a==1 needs b>=1`."""
    lines = ["# stackbuild-lock: 2", *(f"# request: {one}" for one in requests.split())]
    for pin in pins:
        (name, version), needs = pin.split()[0].split("=="), pin.split()[2:]
        lines += ["", f"# {name}", f"{name}=={version} \\"]
        lines += [f"    --hash=sha256:{hashlib.sha256(pin.split()[0].encode()).hexdigest()}"]
        lines += [f"    # file: {name}-{version}-py3-none-any.whl 1", *(f"    # requires: {one}" for one in needs)]
    return parse("\n".join(lines) + "\n")


def step(old: Text, new: Text, *bumped: str, above: Text | None = None) -> Step:
    return Step(
        old=old.pins,
        new=new.pins,
        above=above.pins if above else {},
        requests=new.requests,
        bumped=frozenset(bumped),
    )


OLD = text("a==1 c==1", "a==1 needs b>=1", "b==1", "c==1")


@pytest.mark.parametrize(
    ("new", "found"),
    [
        (text("a==2 c==1", "a==2 needs b>=2", "b==2", "c==1"), ()),
        (text("a==2 c==1", "a==2 needs b>=1", "b==2", "c==1"), ("b",)),
        (text("a==2 c==1", "a==2", "c==1"), ()),
        (text("a==2 c==1", "a==2 needs b d", "b==1", "c==1", "d==1"), ()),
        # What came is needed only by the new version of what need not have moved.
        (text("a==2 c==1", "a==2 needs b>=1", "b==2 needs d", "c==1", "d==1"), ("b", "d")),
    ],
)
def test_what_need_not_have_moved(new: Text, found: tuple[str, ...]) -> None:
    assert faults(step(OLD, new, "a")) == ()
    assert unforced(step(OLD, new, "a")) == found


@pytest.mark.parametrize(
    ("new", "found"),
    [
        (text("a==2", "a==2 needs b>=2", "b==1"), "a needs b>=2, and 1 is there"),
        (text("a==2", "a==2 needs b"), "a needs b, which is not there"),
        (text("a==2", "a==2", "b==1"), "nobody needs b"),
        (text("a==2", "a==1"), "stacks.toml needs a==2, and 1 is there"),
    ],
)
def test_what_is_no_solution(new: Text, found: str) -> None:
    assert faults(step(new, new)) == (found,)


def test_a_child_may_not_need_another_version_than_its_parents() -> None:
    found = faults(step(OLD, text("e", "e==1 needs b>=2"), above=OLD))
    assert found == ("e needs b>=2, and 1 is there",)


def locks(low: Text, high: Text) -> Locks:
    return Locks(texts={("low", "cpu", "pip"): low, ("high", "cpu", "pip"): high})


BEFORE = locks(text("a==1", "a==1"), text("b==1 c==1", "b==1", "c==1"))
AFTER = locks(text("a==1", "a==1"), text("b==2 c==1", "b==2", "c==1"))


def said(*rows: tuple[str, str], same: tuple[str, ...] = ("low:cpu@linux/amd64",)) -> list[str]:
    """What is wrong with a diff that tells these packages, each with what became of it, of the child."""

    def side(source: Locks, name: str) -> dict[str, object]:
        pin = source.own("high", "cpu").pins[name]
        return {"version": pin.version, "digest": pin.digest, "size": pin.size}

    packages = [
        {"change": how, "kind": "pip", "name": name, "image": "high", "a": side(BEFORE, name), "b": side(AFTER, name)}
        for name, how in rows
    ]
    told = {"same": same, "targets": [{"b": "high:cpu@linux/amd64", "packages": packages}]}
    return list(wrong(told, CHAINS, BEFORE, AFTER))


def test_a_diff_that_is_wrong() -> None:
    assert said(("b", "moved")) == []
    assert said(("b", "replaced")) == ["high:cpu@linux/amd64: b is said to be replaced"]
    assert said()[0].startswith("high:cpu@linux/amd64: b is not told")
    assert any("c is told only" in one for one in said(("b", "moved"), ("c", "replaced")))
    assert said(("b", "moved"), same=()) == ["same is said of ()"]


def test_who_is_touched_by_a_parent() -> None:
    moved = locks(text("a==2", "a==2"), BEFORE.own("high", "cpu"))
    assert {name for name, chain in CHAINS.items() if differing(chain, BEFORE, moved)} == CHAINS.keys()
    assert compared.differing(CHAIN[:1], BEFORE, AFTER) == set()


def test_lines_that_changed_for_nothing() -> None:
    assert list(needless(OLD, text("a==2 c==1", "a==2 needs b>=1", "b==1", "c==1"), frozenset({"a"}))) == []
    assert list(needless(OLD, text("a==1 c==1", "a==1 needs b>=1", "b==1 needs c", "c==1"), frozenset())) == [
        "b did not move, and its lines changed"
    ]
    assert list(needless(OLD, text("a==1 c>=1", "a==1 needs b>=1", "b==1", "c==1"), frozenset({"a"})))


def test_a_line_that_nobody_understands() -> None:
    with pytest.raises(AssertionError, match="not understood"):
        parse("a==1\n    --hash=sha256:0\n")


def test_too_much_to_try_is_said() -> None:
    many = [f"p{number}" for number in range(forced.MOST + 1)]
    old, new = (text("", *(f"{name}=={version}" for name in many)) for version in (1, 2))
    with pytest.raises(AssertionError, match="packages moved"):
        unforced(step(old, new))
