from __future__ import annotations

from typing import Any

import pytest

from builder.errors import StackbuildError
from builder.kinds.npm.platform import fits, narrowed
from tests.kinds.npm.conftest import package, tree


@pytest.mark.parametrize(
    ("native", "fitting"),
    [
        ({}, True), ({"os": ["linux"]}, True), ({"os": ["win32"]}, False), ({"os": ["!win32"]}, True),
        ({"os": "linux"}, True), ({"os": ["!linux"]}, False), ({"cpu": ["x64", "arm64"]}, True),
        ({"cpu": ["arm64"]}, False), ({"libc": ["musl"]}, False), ({"libc": ["glibc"], "cpu": ["x64"]}, True),
        ({"os": ["any"]}, True), ({"os": []}, True),
    ],
)  # fmt: skip
def test_fits(native: dict[str, Any], fitting: bool) -> None:
    assert fits(package("node_modules/a", **native), "linux/amd64") is fitting


TREE = tree(
    package("node_modules/a", optionalDependencies={"x64": "1", "arm": "1", "chain": "1"}, dependencies={"pure": "1"}),
    package("node_modules/a/node_modules/x64", cpu=["x64"], dependencies={"only-x64": "1"}),
    package("node_modules/a/node_modules/only-x64"),
    package("node_modules/a/node_modules/arm", cpu=["arm64"], dependencies={"only-arm": "1"}),
    package("node_modules/a/node_modules/only-arm"),
    package("node_modules/a/node_modules/chain", dependencies={"mac": "1"}),
    package("node_modules/a/node_modules/mac", os=["darwin"]),
    package("node_modules/a/node_modules/pure"),
)


@pytest.mark.parametrize(("platform", "there"), [("linux/amd64", "x64"), ("linux/arm64", "arm")])
def test_optional_packages_of_other_platforms_go_with_all_that_they_bring(platform: str, there: str) -> None:
    found = narrowed(TREE, {"a": "*"}, platform)
    assert {one.title for one in found.values()} == {"a", f"a/{there}", f"a/only-{there}", "a/pure"}
    top = found["node_modules/a"]
    assert top.native["optionalDependencies"] == {there: "1"}
    assert top.elsewhere == {name: "1" for name in ("x64", "arm", "chain") if name != there}


def test_what_is_asked_for_must_fit() -> None:
    mac = package("node_modules/mac", os=["darwin"])
    chain = package("node_modules/chain", dependencies={"mac": "1"})
    with pytest.raises(StackbuildError, match=r"chain@1\.0\.0 is not for linux/amd64") as caught:
        narrowed(tree(chain, mac), {"chain": "*"}, "linux/amd64")
    assert caught.value.where == "it needs mac@1.0.0"
    assert "darwin" in caught.value.got
