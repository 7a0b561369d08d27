"""Tags and markers of a target, and the one file chosen for it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from packaging.tags import Tag

from builder.errors import StackbuildError
from builder.kinds.pip.choose import Fitting, choose
from builder.kinds.pip.closure import close
from builder.kinds.pip.page import IndexFile
from builder.kinds.pip.requirement import foreign, name, normalise, satisfies
from builder.kinds.pip.target import environment, tags, uv_platform

AMD = Fitting(python="3.11.2", platform="linux/amd64", glibc="2.36")
ARM = Fitting(python="3.11.2", platform="linux/arm64", glibc="2.36")


def chosen(names: list[str], fitting: Fitting = AMD, *, sdist: bool = False, version: str = "1.0") -> str:
    files = [IndexFile(name=one, url=f"https://h/{one}") for one in names]
    return choose("pkg", version, files, fitting, sdist=sdist).name


def test_the_best_tag_wins() -> None:
    order = [
        "pkg-1.0-2-cp311-cp311-manylinux_2_36_x86_64.whl",
        "pkg-1.0-cp311-cp311-manylinux_2_36_x86_64.whl",
        "pkg-1.0-cp311-cp311-manylinux_2_28_x86_64.manylinux_2_27_x86_64.whl",
        "pkg-1.0-cp311-cp311-manylinux2014_x86_64.whl",
        "pkg-1.0-cp311-cp311-manylinux1_x86_64.whl",
        "pkg-1.0-cp311-cp311-linux_x86_64.whl",
        "pkg-1.0-cp311-abi3-manylinux2014_x86_64.whl",
        "pkg-1.0-cp39-abi3-manylinux2014_x86_64.whl",
        "pkg-1.0-py3-none-manylinux2014_x86_64.whl",
        "pkg-1.0-py2.py3-none-any.whl",
    ]
    while order:
        assert chosen(order[::-1]) == order.pop(0)


@pytest.mark.parametrize(
    "other",
    [
        "pkg-1.0-cp311-cp311-manylinux_2_37_x86_64.whl",
        "pkg-1.0-cp311-cp311-musllinux_1_2_x86_64.whl",
        "pkg-1.0-cp312-cp312-manylinux_2_17_x86_64.whl",
        "pkg-1.0-cp311-cp311-manylinux_2_17_aarch64.whl",
        "pkg-1.0-cp311-cp311t-manylinux_2_17_x86_64.whl",
        "pkg-1.0-cp311-cp311-macosx_11_0_arm64.whl",
        "pkg-1.0-py2-none-any.whl",
        "pkg-1.1-py3-none-any.whl",
        "pkg-1.0-broken.whl",
    ],
)
def test_what_does_not_fit_is_never_chosen(other: str) -> None:
    with pytest.raises(StackbuildError, match=r"no wheel for pkg==1.0"):
        chosen([other])
    assert chosen([other, "pkg-1.0-py3-none-any.whl"]) == "pkg-1.0-py3-none-any.whl"


def test_the_error_names_what_is_there() -> None:
    with pytest.raises(StackbuildError) as caught:
        chosen(["pkg-1.0-cp311-cp311-manylinux_2_17_x86_64.whl"], ARM)
    assert "got: wheels for cp311-cp311-manylinux_2_17_x86_64\n" in str(caught.value)
    with pytest.raises(StackbuildError, match="a source archive only"):
        chosen(["pkg-1.0.tar.gz"])
    assert chosen(["pkg-1.0.tar.gz", "pkg-1.0.zip"], sdist=True) == "pkg-1.0.tar.gz"
    assert chosen(["pkg-1.0.0.tar.gz"], sdist=True, version="1.0") == "pkg-1.0.0.tar.gz"


def test_yanked_and_hidden_files() -> None:
    plain = "pkg-1.0-py3-none-any.whl"
    better = "pkg-1.0-cp311-cp311-manylinux2014_x86_64.whl"
    late = datetime(2026, 6, 1, tzinfo=UTC)
    early = datetime(2026, 1, 1, tzinfo=UTC)
    fitting = Fitting(python="3.11.2", platform="linux/amd64", glibc="2.36", cutoff=late)
    for facts, expected in (
        ({"yanked": True, "uploaded": early}, plain),
        ({"uploaded": late}, plain),
        ({"uploaded": None}, plain),
        ({"requires_python": ">=3.11.5", "uploaded": early}, plain),
        ({"requires_python": "not a specifier", "uploaded": early}, better),
    ):
        files = [
            IndexFile(name=plain, url="u", uploaded=early),
            IndexFile(name=better, url="u", **facts),
        ]
        assert choose("pkg", "1.0", files, fitting).name == expected


def test_tags_are_the_targets() -> None:
    found = tags("3.12.1", "linux/arm64", "2.28")
    assert Tag("cp312", "cp312", "manylinux_2_28_aarch64") in found
    assert Tag("cp312", "cp312", "manylinux_2_29_aarch64") not in found
    assert not any("x86_64" in tag.platform for tag in found)
    assert sorted(found.values()) == list(range(len(found)))


def test_uv_is_given_a_level_it_knows() -> None:
    assert uv_platform("linux/amd64", "2.36") == "x86_64-manylinux_2_36"
    assert uv_platform("linux/arm64", "2.30") == "aarch64-manylinux_2_28"
    assert uv_platform("linux/arm64", "2.99") == "aarch64-manylinux_2_40"
    for platform, glibc in (("linux/s390x", "2.36"), ("linux/amd64", "2.5"), ("linux/amd64", "musl")):
        with pytest.raises(StackbuildError):
            uv_platform(platform, glibc)


def test_requirements_have_one_spelling() -> None:
    assert normalise(["Foo_Bar [B,a] >= 1.0 , <2", "x;python_version<'3.12'", "foo-bar[a,b]<2,>=1.0"]) == (
        "foo-bar[a,b]<2,>=1.0",
        'x ; python_version < "3.12"',
    )
    assert name("foo-bar[a,b]<2,>=1.0") == name("Foo.Bar") == "foo-bar"
    assert satisfies("1.5+cpu", "foo==1.5")
    assert not satisfies("nonsense", "foo")


def test_broken_requirements_of_others_keep_their_name() -> None:
    found, repaired = foreign('old-thing (>=1.0.*) ; extra == "x"')
    assert repaired
    assert (found.name, str(found.specifier), str(found.marker)) == ("old-thing", "", 'extra == "x"')


def test_closure_meets_cycles_and_late_extras() -> None:
    lines = {
        "a": ["b", "c"],
        "b": ["a", 'd ; extra == "x"', 'e ; extra == "y" and sys_platform == "win32"'],
        "c": ["b[X,y]"],
        "d": [],
    }
    found = close(("a",), environment("3.11.2", "linux/amd64"), lambda name, _: lines[name])
    assert {name: one.requires for name, one in found.items()} == {
        "a": ("b", "c"),
        "b": ("a", "d"),
        "c": ("b[x,y]",),
        "d": (),
    }
    assert found["b"].via == ("a", "c")
    assert found["a"].via == ("b", "stacks.toml")
