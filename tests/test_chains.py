"""Chains from a package up to what is asked for, and the tree downwards."""

from __future__ import annotations

from collections import deque
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from builder.chains import Branch, chains, nearest, tree

EDGES = {"lab": {"server", "tornado"}, "server": {"tornado", "anyio"}, "anyio": {"idna"}, "tornado": (), "idna": ()}


def test_one_chain_for_each_that_is_asked_for_the_shortest_first() -> None:
    assert chains(EDGES, {"lab", "server"}, "tornado") == (("tornado", "lab"), ("tornado", "server"))
    assert chains(EDGES, {"lab"}, "idna") == (("idna", "anyio", "server", "lab"),)


def test_what_is_asked_for_itself_is_a_chain_of_one() -> None:
    assert chains(EDGES, {"lab", "anyio"}, "anyio") == (("anyio",), ("anyio", "server", "lab"))


def test_beyond_what_is_asked_for_nobody_looks() -> None:
    assert chains(EDGES, {"lab", "server"}, "anyio") == (("anyio", "server"),)


def test_nobody_asks_for_it() -> None:
    assert chains(EDGES, set(), "idna") == ()
    assert chains({}, {"lab"}, "idna") == ()


def test_circles_end() -> None:
    edges = {"a": {"b"}, "b": {"a"}}
    assert chains(edges, {"a"}, "b") == (("b", "a"),)
    assert list(tree(edges, ["a"], 9)) == [
        Branch(name="a", depth=0),
        Branch(name="b", depth=1),
        Branch(name="a", depth=2, again=True),
    ]


def test_tree_shows_requirements_once_and_to_a_depth() -> None:
    assert [(one.name, one.depth, one.again) for one in tree(EDGES, ["server", "lab"], 9)] == [
        ("lab", 0, False),
        ("server", 1, False),
        ("anyio", 2, False),
        ("idna", 3, False),
        ("tornado", 2, False),
        ("tornado", 1, False),
        ("server", 0, True),
    ]
    assert [one.name for one in tree(EDGES, ["lab"], 1)] == ["lab", "server", "tornado"]


NAMES = st.sampled_from("abcdefgh")


@given(st.dictionaries(NAMES, st.sets(NAMES, max_size=4)), st.sets(NAMES), NAMES)
def test_chains_follow_edges_and_none_is_shorter(edges: dict[str, set[str]], asked: set[str], name: str) -> None:
    found = chains(edges, asked, name)
    for chain in found:
        assert chain[0] == name and chain[-1] in asked
        assert not asked & set(chain[1:-1])
        assert all(below in edges[above] for below, above in pairwise(chain))
    assert {chain[-1]: len(chain) for chain in found} == lengths(edges, asked, name)


def lengths(edges: dict[str, set[str]], asked: set[str], name: str) -> dict[str, int]:
    """The same told in another way: how far each asked package is, walking down from it and through no other one."""
    found = {}
    for start in asked:
        far, todo = {start: 1}, deque([start])
        while todo:
            one = todo.popleft()
            for below in edges.get(one, ()):
                if below not in far and (below not in asked or below == name):
                    far[below] = far[one] + 1
                    if below != name:
                        todo.append(below)
        if name in far:
            found[start] = far[name]
    return found


@given(st.dictionaries(NAMES, st.sets(NAMES, max_size=4)), st.sets(NAMES))
def test_the_nearest_are_the_first_of_all_chains(edges: dict[str, set[str]], asked: set[str]) -> None:
    every = {name: chains(edges, asked, name) for name in "abcdefgh"}
    assert nearest(edges, asked) == {name: found[0] for name, found in every.items() if found}
