"""Paths, parents, the cut into layers, and what happens when two packages bring one path."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.errors import HostileInput, StackbuildError
from builder.tree import BUCKETS, OWN_LAYERS, THRESHOLD, Bytes, Entry, Member, merge, partition, safe, with_parents


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        ".",
        "./",
        "..",
        "../x",
        "x/..",
        "x/../../y",
        "/x",
        "//x",
        "x\\y",
        "x\0",
        "x\ny",
        "x\ty",
        "\x7f",
        "\udce9",
    ],
)
def test_unsafe_paths(path: str) -> None:
    with pytest.raises(HostileInput, match="unsafe path") as caught:
        safe(path, "the wheel")
    assert caught.value.where == "the wheel"


@pytest.mark.parametrize(
    ("path", "normal"),
    [
        ("x", "x"),
        ("x/y", "x/y"),
        ("./x", "x"),
        ("x//y/./z/", "x/y/z"),
        ("…/..x", "…/..x"),
        ("a b", "a b"),
        (".x", ".x"),
    ],
)
def test_safe_paths(path: str, normal: str) -> None:
    assert safe(path, "") == normal


@given(st.text(st.sampled_from("ab./\\\n é")))
def test_safe_path_stays_below_and_is_stable(path: str) -> None:
    try:
        found = safe(path, "")
    except HostileInput:
        return
    assert found
    assert not {"", ".", ".."} & set(found.split("/"))
    assert safe(found, "") == found


names = st.lists(st.text(st.sampled_from("abc-."), min_size=1, max_size=3), min_size=1, max_size=4).map("/".join)


@given(st.sets(names))
def test_parents_come_before_children_and_each_path_once(paths: set[str]) -> None:
    leaves = {path for path in paths if not any(other.startswith(path + "/") for other in paths)}
    ordered = with_parents([Entry(path, "file", content=Bytes(b"")) for path in leaves])
    seen: set[str] = set()
    for entry in ordered:
        assert entry.path not in seen
        assert "/" not in entry.path or entry.path.rpartition("/")[0] in seen
        seen.add(entry.path)
    assert [entry.path.encode() for entry in ordered] == sorted(path.encode() for path in seen)


def test_parents_as_known() -> None:
    known = {"home": Entry("home", "dir", 0o700, 5, 6)}
    assert with_parents([Entry("home/x", "link", target="y")], known)[0] == known["home"]
    assert with_parents([Entry("home/x", "link", target="y")])[0] == Entry("home", "dir", 0o755)


@pytest.mark.parametrize("kind", ["file", "link", "hardlink"])
def test_nothing_lies_below_what_is_no_folder(kind: str) -> None:
    entries = [Entry("a", kind, owner="one"), Entry("a/b/c", "file", owner="two")]  # type: ignore[arg-type]
    with pytest.raises(StackbuildError, match=f"a is to be a {kind}, and a folder that holds a/b/c") as caught:
        with_parents(entries)
    assert caught.value.where == "one and two"


def _file(owner: str, data: bytes, mode: int = 0o644, path: str = "x") -> Entry:
    return Entry(path, "file", mode, content=Bytes(data), owner=owner)


def test_first_owner_by_name_has_an_equal_path() -> None:
    for order in ("ab", "ba"):
        assert [entry.owner for entry in merge([[_file(owner, b"1")] for owner in order])] == ["a"]


@pytest.mark.parametrize(
    "other", [_file("b", b"2"), _file("b", b"1", 0o755), Entry("x", "link", owner="b"), Entry("x", "dir")]
)
def test_conflict_names_both(other: Entry) -> None:
    with pytest.raises(StackbuildError, match="two packages bring x") as caught:
        merge([[_file("a", b"1")], [other]])
    assert caught.value.where == f"a and {other.owner}"


def test_the_callers_words() -> None:
    with pytest.raises(StackbuildError, match="x: a, b"):
        merge(
            [[_file("a", b"1")], [_file("b", b"2")]],
            refuse=lambda path, one, other: StackbuildError(f"{path}: {one}, {other}"),
        )
    assert len(merge([[Entry("d", "dir", owner="a")], [Entry("d", "dir", owner="b")]])) == 1


def test_members_without_a_digest_are_never_equal() -> None:
    member = Member("a.whl", 0, 1, 1, 1, 8, None, "x")
    entries = [Entry("x", "file", content=member, owner=owner) for owner in "ab"]
    with pytest.raises(StackbuildError):
        merge([[one] for one in entries])


sizes = st.dictionaries(st.text(st.sampled_from("abcdef"), min_size=1, max_size=6), st.integers(0, 4 * THRESHOLD))


@given(sizes)
def test_every_package_is_in_one_part(packages: dict[str, int]) -> None:
    parts = partition(list(packages.items()))
    assert sorted(name for part in parts for name in part.members) == sorted(packages)
    assert len(parts) <= OWN_LAYERS
    assert len({part.name for part in parts}) == len(parts)


@given(sizes, st.randoms())
def test_order_does_not_matter(packages: dict[str, int], draw: object) -> None:
    items = list(packages.items())
    draw.shuffle(items)  # type: ignore[attr-defined]
    assert partition(items) == partition(sorted(items))


@given(sizes, st.data())
def test_partition_is_stable_under_bumps(packages: dict[str, int], data: st.DataObject) -> None:
    """A bump that does not cross the threshold moves nobody, and no new package moves another's."""
    if not packages:
        return
    if sum(size >= THRESHOLD for size in packages.values()) >= OWN_LAYERS - BUCKETS:
        return
    name = data.draw(st.sampled_from(sorted(packages)))
    large = packages[name] >= THRESHOLD
    bumped = data.draw(st.integers(THRESHOLD, 9 * THRESHOLD) if large else st.integers(0, THRESHOLD - 1))
    assert partition(list({**packages, name: bumped}.items())) == partition(list(packages.items()))
    more = partition([*packages.items(), ("new-package", data.draw(st.integers(0, THRESHOLD - 1)))])
    places = {one: part.name for part in partition(list(packages.items())) for one in part.members}
    assert {one: part.name for part in more for one in part.members if one != "new-package"} == places


def test_too_many_large_packages_share_layers() -> None:
    parts = partition([(f"p{number}", THRESHOLD + number * (1 << 20)) for number in range(60)])
    assert len(parts) <= OWN_LAYERS
