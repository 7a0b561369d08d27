"""What a manifest may write, and what conda understands by it."""

from __future__ import annotations

import re

import pytest

from builder.kinds.conda import KEYS, matching, request
from builder.kinds.conda.virtual import parts, virtual
from builder.lock import Lock, Pin

PATTERN = re.compile(KEYS["conda"]["items"]["pattern"])


@pytest.mark.parametrize(
    ("item", "spec", "fits", "fails"),
    [
        ("python==3.12.11", "python ==3.12.11", "3.12.11", "3.12.1"),
        ("python", "python", "3.12.11", ""),
        ("numpy=2.1", "numpy 2.1.*", "2.1.3", "2.10"),
        ("numpy=2.1.*", "numpy 2.1.*", "2.1", "2.2"),
        ("numpy >=2, <3", "numpy >=2,<3", "2.9", "3.0"),
        ("numpy~=2.1", "numpy ~=2.1", "2.9", "3.0"),
        ("numpy>=2|<1", "numpy >=2|<1", "0.9", "1.5"),
        ("numpy!=2.1.*", "numpy !=2.1.*", "2.2", "2.1.5"),
        ("numpy>=2,!=2.3", "numpy >=2,!=2.3", "2.2", "2.3"),
        ("_openmp_mutex==4.5=2_gnu", "_openmp_mutex ==4.5 2_gnu", "4.5", "4.6"),
        ("numpy=2.1=py312*", "numpy 2.1.* py312*", "2.1.3", "2.2"),
        ("ca-certificates==2024.8.30", "ca-certificates ==2024.8.30", "2024.8.30", "2024.8.31"),
        ("epoch==1!2.0", "epoch ==1!2.0", "1!2.0", "2.0"),
        ("local==2.0+cu130", "local ==2.0+cu130", "2.0+cu130", "2.0"),
    ],
)
def test_requests_mean_what_they_say(item: str, spec: str, fits: str, fails: str) -> None:
    assert PATTERN.fullmatch(item)
    (normal,) = request.normalise([item])
    assert request.spec(normal) == spec
    build = "2_gnu" if "gnu" in item else "py312_0"
    name = request.name(normal)
    assert matching.satisfies(matching.record(name, fits, build), spec)
    assert not fails or not matching.satisfies(matching.record(name, fails, build), spec)


@pytest.mark.parametrize(
    "item",
    [
        "", "Numpy", "__cuda", "numpy==", "numpy==2.1.*", "numpy 2.1", "numpy>=2,", "numpy>=2 py_0", "numpy=2,<3",
        "main::numpy", "numpy[build=1]", "numpy==2.1 # now", "numpy\n", "-numpy", "https://x/numpy.conda", "numpy==2=",
    ],
)  # fmt: skip
def test_what_cannot_be_asked(item: str) -> None:
    assert not PATTERN.fullmatch(item)


def test_requests_are_sorted_each_once() -> None:
    assert request.normalise(["b", "a >=1", "a>=1"]) == ("a>=1", "b")


def _libc(version: str) -> Lock:
    from builder.digest import Digest

    pin = Pin(kind="apt", name="libc6", version=version, filename="x", digest=Digest.of(b""), size=0)
    return Lock(request=(), pins=(pin,))


def test_virtual_packages_follow_from_the_target() -> None:
    assert virtual("linux/amd64", [_libc("2.36-9+deb12u10")], ["__cuda==13.0"]) == (
        "__archspec==1=x86_64",
        "__cuda==13.0",
        "__glibc==2.36",
        "__linux==5.10",
        "__unix==0",
    )
    assert "__glibc==2.28" in virtual("linux/arm64", [], [])
    assert "__archspec==1=aarch64" in virtual("linux/arm64", [], [])
    assert "__glibc==2.17" in virtual("linux/amd64", [_libc("2.36")], ["__glibc==2.17"])
    assert "__site==0" in virtual("linux/amd64", [], ["__site"])


def test_virtual_packages_have_a_build() -> None:
    assert parts("__archspec==1=x86_64") == ("__archspec", "1", "x86_64")
    assert parts("__cuda==13.0") == ("__cuda", "13.0", "0")
