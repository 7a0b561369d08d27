from __future__ import annotations

from builder.kinds.npm.package import edges, find, reach
from tests.kinds.npm.conftest import package, tree

TREE = tree(
    package("node_modules/a", dependencies={"b": "1", "@s/c": "1"}, optionalDependencies={"gone": "1"}),
    package("node_modules/a/node_modules/b", dependencies={"d": "1"}),
    package("node_modules/a/node_modules/d", dependencies={"b": "1"}),
    package("node_modules/@s/c", peerDependencies={"a": "1", "e": "1"}, peerDependenciesMeta={"e": {"optional": True}}),
    package("node_modules/b"),
)


def test_titles() -> None:
    assert [one.title for one in TREE.values()] == ["a", "a/b", "a/d", "@s/c", "b"]
    assert [one.top for one in TREE.values()] == [True, False, False, True, True]
    assert TREE["node_modules/@s/c"].folder_name == "@s/c"


def test_nearest_package_is_found() -> None:
    assert find(TREE, "", "b") == TREE["node_modules/b"]
    assert find(TREE, "node_modules/a/node_modules/d", "b") == TREE["node_modules/a/node_modules/b"]
    assert find(TREE, "node_modules/@s/c", "b") == TREE["node_modules/b"]
    assert find(TREE, "node_modules/a/node_modules/b", "@s/c") == TREE["node_modules/@s/c"]
    assert find(TREE, "node_modules/a", "absent") is None


def test_what_may_be_missing() -> None:
    lax = {(name, lax) for one in TREE.values() for name, _, _, lax in edges(TREE, one)}
    assert lax == {("b", False), ("@s/c", False), ("gone", True), ("d", False), ("a", False), ("e", True)}


def test_reach_goes_round_in_circles() -> None:
    found = [one.location for one in reach(TREE, TREE["node_modules/a/node_modules/b"])]
    assert found == ["node_modules/a/node_modules/b", "node_modules/a/node_modules/d"]
    assert len(reach(TREE, TREE["node_modules/@s/c"])) == 4


def test_an_optional_dependency_is_no_need_even_if_it_is_listed_as_both() -> None:
    both = package("node_modules/x", dependencies={"y": "1"}, optionalDependencies={"y": "1"})
    assert both.needs == {}
    assert both.wishes == {"y": "1"}
