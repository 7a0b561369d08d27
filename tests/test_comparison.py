"""What two sides have and do not have in common: changes of packages, layers by digest, bytes to push."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from builder.comparison import compare, push, same
from builder.difference import Contents, Layer, Package, Push, pair_name
from builder.digest import Digest


def package(name: str, version: str, *, file: str = "", size: int = 10, kind: str = "pip") -> Package:
    digest = Digest.of((file or f"{name}-{version}").encode())
    return Package(kind=kind, name=name, version=version, image="lab", digest=digest, size=size)


def layer(name: str, data: str, size: int | None = 100) -> Layer:
    return Layer(name=name, digest=Digest.of(data.encode()), size=size, image="lab")


def side(*layers: Layer, packages: tuple[Package, ...] = (), name: str = "lab:cpu@linux/amd64") -> Contents:
    return Contents(name=name, packages=packages, layers=layers, expected=())


def planned(*layers: Layer, packages: tuple[Package, ...] = ()) -> Contents:
    """One that is not built."""
    return replace(side(packages=packages), layers=None, expected=layers)


def test_packages_are_added_removed_moved_and_replaced() -> None:
    a = side(
        packages=(package("numpy", "1"), package("gone", "1"), package("same", "1"), package("file", "1", file="x"))
    )
    b = side(
        packages=(
            package("numpy", "2", size=50),
            package("new", "1", size=7),
            package("same", "1"),
            package("file", "1", file="y", size=5),
        )
    )
    found = compare(a, b)
    assert found.packages is not None
    assert [(one.package.name, one.how) for one in found.packages] == [
        ("file", "replaced"),
        ("gone", "removed"),
        ("new", "added"),
        ("numpy", "moved"),
    ]
    assert found.download == 62


def test_one_name_in_two_kinds_is_two_packages() -> None:
    """And so is one in two prefixes of a foreign base."""
    twice = (
        package("python", "3.11", kind="apt"),
        package("python", "3.12", kind="conda"),
        replace(package("pip", "1"), prefix="/opt/conda"),
        replace(package("pip", "2"), prefix="/usr"),
    )
    found = compare(side(packages=twice), side(packages=twice[1:]))
    assert found.packages is not None
    assert [(one.how, one.package.kind) for one in found.packages] == [("removed", "apt")]


def test_layers_are_told_apart_by_digest() -> None:
    a = side(layer("base", "0"), layer("numpy", "1", 300), layer("old", "2"))
    b = side(layer("base", "0"), layer("numpy", "1b", 310))
    found = compare(a, b)
    assert [one.name for one in found.new or ()] == ["numpy"]
    assert [one.name for one in found.gone or ()] == ["numpy", "old"]
    assert found.push == Push(size=310, exact=True)
    assert found.compressed == (500, 410)
    assert found.exact


def test_a_layer_that_lies_twice_in_an_image_is_pushed_once() -> None:
    assert compare(side(), side(layer("x", "1"), layer("y", "1"))).push == Push(size=100, exact=True)


def test_what_is_not_built_is_estimated() -> None:
    a, b = planned(layer("numpy", "1")), planned(layer("numpy", "2", 70), layer("rest", "3", None))
    found = compare(replace(a, layers=()), b)
    assert found.push == Push(size=70, exact=False, unknown=1)
    assert not found.exact and found.compressed == (0, None)
    assert [one.name for one in found.gone or ()] == ["numpy"]


def test_what_cannot_be_compared_is_not_known() -> None:
    pulled = replace(side(layer("x", "1")), packages=None, expected=None)
    found = compare(pulled, planned(layer("x", "2")))
    assert (found.new, found.gone, found.push, found.packages, found.download) == (None,) * 5


def test_a_side_that_is_not_there_has_nothing() -> None:
    new = compare(None, side(layer("x", "1"), packages=(package("numpy", "1"),)))
    assert (new.a, new.name, new.push, new.download) == (None, "lab:cpu@linux/amd64", Push(size=100, exact=True), 10)
    gone = compare(side(layer("x", "1"), packages=(package("numpy", "1"),)), None)
    assert (gone.b, gone.push, gone.download) == (None, Push(size=0, exact=True), 0)
    assert gone.packages is not None and gone.packages[0].how == "removed"


def test_only_the_config_differs() -> None:
    a = replace(side(layer("x", "1")), plan_key="a", manifest="m1")
    b = replace(a, plan_key="b", manifest="m2")
    assert compare(a, b).notes == ("no layer differs, only the image's config",)


def test_same_by_plan_or_by_manifest() -> None:
    one = replace(side(), plan_key="k", manifest="m")
    assert same(one, replace(one, manifest=""))
    assert same(one, replace(one, plan_key="other"))
    assert not same(one, replace(one, plan_key="other", manifest="other"))
    assert not same(one, replace(one, plan_key="other", packages=(package("numpy", "1"),)))
    assert not same(replace(one, plan_key="", manifest=""), replace(one, plan_key="", manifest=""))


def test_disk_by_owner_largest_difference_first() -> None:
    a = replace(side(), weights={("pip", "numpy"): 100, ("apt", "curl"): 5, ("apt", "same"): 9})
    b = replace(side(), weights={("pip", "numpy"): 90, ("apt", "same"): 9, ("pip", "new"): 30})
    found = compare(a, b).grown
    assert found is not None
    assert [(one.name, one.a, one.b) for one in found] == [("new", 0, 30), ("numpy", 100, 90), ("curl", 5, 0)]
    assert compare(a, side()).grown is None


def test_a_layer_of_several_targets_is_pushed_once() -> None:
    old, new = side(layer("base", "1")), side(layer("base", "2", 60))
    child = side(layer("base", "2", 60), layer("own", "3", 5))
    assert push([(old, new), (old, child)]) == Push(size=65, exact=True)


def test_a_layer_that_another_target_had_is_there() -> None:
    moved = layer("base", "2", 60)
    assert push([(side(layer("base", "1")), side(moved)), (side(moved), side(moved))]) == Push(size=0, exact=True)


def test_targets_that_are_not_built_are_left_out_of_a_push() -> None:
    one = (replace(side(layer("x", "1")), plan_key="1"), replace(side(layer("x", "2")), plan_key="2"))
    other = (replace(planned(layer("x", "e1")), plan_key="3"), replace(planned(layer("x", "e2", 7)), plan_key="4"))
    assert push([one, other]) == Push(size=100, exact=True, without=1)
    assert push([other]) == Push(size=7, exact=False)
    unchanged = (other[0], other[0])
    assert push([one, unchanged]) == Push(size=100, exact=True)
    assert push([unchanged]) == Push(size=0, exact=True)


def test_names() -> None:
    assert pair_name("a", "b") == "a → b"
    assert pair_name("a", "a") == pair_name(None, "a") == pair_name("a", None) == "a"


@given(st.lists(st.integers(0, 20)), st.lists(st.integers(0, 20)))
def test_push_and_gone_mirror_each_other(a: list[int], b: list[int]) -> None:
    """What is new one way round is gone the other way round, and nothing is pushed to where it came from."""
    one, other = (side(*(layer(str(n), str(n), n) for n in numbers)) for numbers in (a, b))
    there, back = compare(one, other), compare(other, one)
    assert (there.new, there.gone) == (back.gone, back.new)
    assert there.push == Push(size=sum(set(b) - set(a)), exact=True)
    assert push([(one, one)]) == Push(size=0, exact=True)
