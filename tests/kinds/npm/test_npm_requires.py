"""Who requires whom in an npm tree: what Node.js would find from where a package lies."""

from __future__ import annotations

from builder.kinds.npm.lockfile import lock
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


def test_what_is_asked_for() -> None:
    assert asked(LOCK) == {"a": "a==1.0.0", "ms": "ms>=2"}
