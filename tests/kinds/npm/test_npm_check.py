"""Whether a lock answers: judged offline, after a merge too."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from builder.kinds.npm.check import answers, problems
from builder.kinds.npm.lockfile import NpmLock, lock
from tests.kinds.npm.conftest import NODE, package, tree, wanted


def made(*request: str, packages: Any) -> NpmLock:
    return lock(tuple(sorted(request)), tree(*packages), NODE, "linux/amd64")


SOUND = made(
    "a==1.0.0",
    packages=[
        package("node_modules/a", dependencies={"b": "^1.0.0"}, bin={"a": "a.js"}),
        package("node_modules/a/node_modules/b", "1.2.0"),
    ],
)


def told(found: NpmLock, *request: str, **fields: Any) -> list[str]:
    return [one.what for one in problems(found, wanted(*request, image="img", **fields))]


def test_a_sound_lock_has_no_problems() -> None:
    assert told(SOUND, "a==1.0.0") == []


def test_stale_locks() -> None:
    assert told(SOUND, "a==1.0.1") == ["lock is stale"]
    assert told(SOUND, "a==1.0.0", "c") == ["lock is stale"]
    assert told(SOUND, "a==1.0.0", node="20.1.0") == ["lock is stale"]
    assert told(SOUND, "a==1.0.0", platform="linux/arm64") == ["lock is stale"]
    (one,) = problems(SOUND, wanted("a>=2", image="img", path="locks/img/x"))
    assert one.lines() == [
        "lock is stale",
        "  locks/img/x",
        "  expected: an answer to a>=2",
        "  got: an answer to a==1.0.0",
        "  next: stackbuild lock img",
    ]


def test_a_merge_that_is_no_solution() -> None:
    old = [SOUND.packages[0], replace(SOUND.packages[1], version="0.9.0")]
    assert told(made("a==1.0.0", packages=old), "a==1.0.0") == ["lock is no solution: a@1.0.0 needs b ^1.0.0"]
    assert told(made("a==1.0.0", packages=old[:1]), "a==1.0.0") == ["lock is no solution: a@1.0.0 needs b ^1.0.0"]
    assert told(made("a==2.0.0", packages=SOUND.packages), "a==2.0.0") == ["lock is no solution"]


@pytest.mark.parametrize(
    ("range_", "good"),
    [
        ("^1.0.0", True), ("latest", True), ("npm:real@^1.2.0", True), ("npm:other@^1.2.0", False),
        ("npm:real@^2.0.0", False), ("npm:real", True), ("2", False),
    ],
)  # fmt: skip
def test_aliases_and_tags(range_: str, good: bool) -> None:
    assert answers(replace(package("node_modules/a/node_modules/alias", "1.2.0"), name="real"), range_) is good


def test_install_scripts_are_decided_about() -> None:
    scripted = made("a", packages=[package("node_modules/a", hasInstallScript=True)])
    (one,) = problems(scripted, wanted("a", image="img"))
    assert one.what == "a@1.0.0 has an install script"
    assert "npm-ignore-scripts" in one.expected
    assert told(scripted, "a", run=frozenset({"a"})) == []
    assert told(scripted, "a", ignore=frozenset({"a"})) == []
    inner = replace(package("node_modules/a/node_modules/b", hasInstallScript=True, inBundle=True), digest=None)
    bundled = made("a", packages=[package("node_modules/a"), inner])
    assert "cannot run" in told(bundled, "a", run=frozenset({"b"}))[0]
    assert told(bundled, "a", ignore=frozenset({"b"})) == []


def test_engines() -> None:
    old = made("a", packages=[package("node_modules/a", engines={"node": "20"})])
    (one,) = problems(old, wanted("a", image="img"))
    assert one.lines() == [
        "a@1.0.0 is for another Node.js",
        "  img: a",
        "  expected: Node.js 20",
        "  got: 18.20.4, from apt",
        '  next: ask for another version of it, take nodejs from another archive, or add "a" to npm-ignore-engines',
    ]
    assert told(old, "a", lax=frozenset({"a"})) == []


def test_a_child_and_its_ancestors() -> None:
    """A request that an ancestor answers adds nothing; nothing of an ancestor is moved or covered."""
    nothing = made("a>=1", packages=[])
    assert told(nothing, "a>=1", inherited=(("base", SOUND),)) == []
    assert told(made("a==2.0.0", packages=[]), "a==2.0.0", inherited=(("base", SOUND),)) == [
        "child may not move its parent: img needs a==2.0.0, base pins 1.0.0"
    ]
    peer = made("plugin", packages=[package("node_modules/plugin"), package("node_modules/a", "1.1.0")])
    assert told(peer, "plugin", inherited=(("base", SOUND),)) == [
        "child may not move its parent: img needs a@1.1.0, base has a@1.0.0 in its place"
    ]


def test_one_program_of_two_packages() -> None:
    other = made("c", packages=[package("node_modules/c", bin={"a": "x.js"})])
    assert told(other, "c", inherited=(("base", SOUND),)) == ["two npm packages bring the program a"]
