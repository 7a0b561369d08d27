"""Who requires whom in an npm tree: what Node.js would find from where a package lies."""

from __future__ import annotations

from dataclasses import replace

from builder.kinds.npm.lockfile import lock
from builder.kinds.npm.package import Nested
from builder.kinds.npm.requires import asked, requires
from tests.kinds.npm.conftest import package, tree

LOCK = lock(
    ("a==1.0.0", "ms>=2"),
    tree(
        package("node_modules/a", dependencies={"ms": "^1", "b": "1"}, optionalDependencies={"win": "1"}),
        package("node_modules/a/node_modules/ms"),
        package("node_modules/b", peerDependencies={"ms": "2"}),
        package("node_modules/ms", "2.0.0"),
    ),
    "18.20.4",
    "linux/amd64",
)


def test_the_nearest_one_counts() -> None:
    assert requires([LOCK]) == {
        "a": {"a/ms", "b"},
        "a/ms": set(),
        "b": {"ms"},
        "ms": set(),
    }


def test_a_package_requires_what_its_folders_ask_for() -> None:
    inner = tuple(
        replace(package(f"node_modules/{name}", dependencies=needs), within="a/lib")
        for name, needs in (("b", {"ms": "1"}), ("ms", {"a": "1"}))
    )
    nested = Nested(folder="a/lib", needs={"b": "*"}, wishes={}, packages=inner)
    found = requires([lock(LOCK.request, LOCK.by_location, LOCK.node, LOCK.platform, (nested,))])
    assert found["a"] == {"a/ms", "b", "a/lib:b"}
    assert found["a/lib:b"] == {"a/lib:ms"}
    assert found["a/lib:ms"] == set(), "a tree does not look outside of itself"
    assert found["b"] == {"ms"}


def test_what_is_asked_for() -> None:
    assert asked(LOCK) == {"a": "a==1.0.0", "ms": "ms>=2"}
