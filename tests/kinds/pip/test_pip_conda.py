"""pip beside conda: its packages are pins that pip neither moves, repeats nor shadows. Real uv, tiny wheels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from builder.errors import StackbuildError
from builder.kinds.pip import python
from builder.kinds.pip.inherit import inherited
from builder.lock import Lock
from builder.manifest.model import Target
from tests.pip_family import APT, OPENSSL, PYTHON, VENV, Family, conda_pin, told

New = Callable[[str], Family]
CONDA = """
[images.lab]
from = "base"
channels = ["own"]
conda = ["python==3.11.9", "numpy", "pytorch"]
python = { from = "conda" }
"""
CHILD = '[images.child]\nfrom = "lab"\npip = [{}]\n'
NUMPY = conda_pin("numpy", "2.1.0", "numpy==2.1.0")
TORCH = conda_pin("pytorch", "2.6.0", "torch==2.6.0")
LAB, SON = "lab:cpu@linux/amd64", "child:cpu@linux/amd64"


def lab(family: New, *requests: str) -> Family:
    found = family(CONDA + CHILD.format(", ".join(f'"{one}"' for one in requests)))
    found.conda(LAB, PYTHON, OPENSSL, NUMPY, TORCH)
    return found


def test_what_conda_has_is_neither_moved_nor_repeated(family: New, index: Any) -> None:
    """Also where the index has a wheel of that very version, which would bring requirements of its own."""
    for version in ("2.1.0", "2.4.0"):
        index.wheel("numpy", version, "extra", tag="cp311-cp311-manylinux_2_17_x86_64")
    index.wheel("extra", "1")
    index.wheel("pandas", "3.0", "numpy>=2", "dateutil", "torch==2.6.*")
    index.wheel("dateutil", "1")
    found = lab(family, "pandas", "numpy")
    assert found.lock(SON) == {"dateutil": "1", "pandas": "3.0"}
    assert found.pip(SON).python == "3.11.9"
    assert found.pip(SON).glibc == "2.36"
    assert found.check(SON) == []


def test_the_index_need_not_know_what_conda_has(family: New, index: Any) -> None:
    index.wheel("user", "1.0", "torch>=2")
    assert lab(family, "user").lock(SON) == {"user": "1.0"}


def test_a_dependency_on_another_version_names_both(family: New, index: Any) -> None:
    index.wheel("numpy", "2.4.0")
    index.wheel("pandas", "3.0", "numpy>=2.4")
    with pytest.raises(StackbuildError) as caught:
        lab(family, "pandas").lock(SON)
    assert str(caught.value) == (
        "pip may not move what conda brings: child needs numpy>=2.4, conda of lab pins 2.1.0\n"
        "  because pandas==3.0 requires numpy>=2.4; numpy==2.1.0 is numpy-2.1.0-0.conda in the lock of conda of lab "
        "for linux/amd64\n"
        "  next: lower pandas, or ask conda of lab for a numpy that fits numpy>=2.4 and: stackbuild lock"
    )


def test_a_dependency_that_no_index_meets_names_both(family: New, index: Any) -> None:
    index.wheel("pandas", "3.0", "torch>=3")
    with pytest.raises(StackbuildError) as caught:
        lab(family, "pandas").lock(SON)
    text = str(caught.value)
    assert text.startswith("no solution: pip, child")
    assert "pandas" in text
    assert "torch==2.6.0 is pinned by conda of lab" in text


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ("numpy==2.4.0", "pip may not move what conda brings: child needs numpy==2.4.0, conda of lab pins 2.1.0"),
        ("torch[opt]", "extras of what pip did not bring: torch[opt]"),
    ],
)
def test_a_request_for_another(request_: str, words: str, family: New) -> None:
    with pytest.raises(StackbuildError) as caught:
        lab(family, request_).lock(SON)
    assert words in str(caught.value)


def test_check_compares_with_the_conda_lock(family: New, index: Any) -> None:
    """Offline: conda moved, or brings now what pip brought, and the pip lock was not made again."""
    index.wheel("pandas", "3.0", "numpy>=2.1", "six")
    index.wheel("six", "1.0")
    found = lab(family, "pandas")
    found.lock(SON)
    found.conda(LAB, PYTHON, OPENSSL, TORCH, conda_pin("numpy", "2.0.0", "numpy==2.0.0"))
    assert told(found.check(SON)) == ["lock is no solution: numpy>=2.1 is not met"]
    found.conda(LAB, PYTHON, OPENSSL, TORCH, NUMPY, conda_pin("six", "1.0", "six==1.0"))
    assert told(found.check(SON)) == ["pip may not move what conda brings: six"]
    found.conda(LAB, conda_pin("python", "3.11.10"), OPENSSL, TORCH, NUMPY)
    assert told(found.check(SON)) == ["lock is stale: locks/child/linux-amd64.pip.txt"]


def test_conda_of_a_child_repeats_pip_of_its_parent(family: New, index: Any) -> None:
    index.wheel("six", "1.0")
    found = family(
        CONDA.replace('"pytorch"]', '"pytorch"]\npip = ["six"]') + CHILD.format('"six"') + 'conda = ["six"]\n'
    )
    found.conda(LAB, PYTHON, OPENSSL, NUMPY)
    found.lock(LAB)
    found.conda(SON, conda_pin("six", "1.0", "six==1.0"))
    with pytest.raises(StackbuildError, match="two kinds bring one package: six") as caught:
        found.lock(SON)
    assert "conda of child has six-1.0-0.conda, pip of lab has six-1.0" in str(caught.value)


def test_a_version_that_is_none_of_pips(family: New) -> None:
    found = lab(family, "numpy")
    found.conda(LAB, PYTHON, OPENSSL, conda_pin("jpeg", "9e", "jpeg==9e"))
    with pytest.raises(StackbuildError, match="has a version that pip does not know"):
        found.lock(SON)


def test_an_environment_of_its_own_inherits_nothing_of_another(family: New, index: Any) -> None:
    """Debian's Python in a parent and conda's in a child are two environments, whatever both have."""
    index.wheel("six", "1.0")
    index.wheel("six", "2.0")
    found = family(
        f'[images.venv]\nfrom = "base"\npip = ["six==1.0"]\n{VENV}'
        + CONDA.replace('"base"', '"venv"').replace('"pytorch"]', '"pytorch"]\npip = ["six"]')
    )
    found.conda(LAB, PYTHON, OPENSSL)
    assert found.lock("venv:cpu@linux/amd64") == {"six": "1.0"}
    assert found.lock(LAB) == {"six": "2.0"}
    assert found.check(LAB) == []
    assert inherited(found.manifest, found.locks, Target.parse(LAB))[0][0] == "conda of lab"


def test_prefixes(family: New) -> None:
    target = Target.parse(LAB)

    def home(text: str) -> tuple[str, str]:
        where = python.home(family(text).manifest, target)
        assert where is not None
        return where.kind, where.prefix

    assert home(CONDA) == ("conda", "/opt/conda")
    assert home(CONDA + 'conda-prefix = "/opt/lab"\n') == ("conda", "/opt/lab")
    assert home(CONDA.replace('{ from = "conda" }', '{ from = "conda", prefix = "/opt/conda" }')) == (
        "conda", "/opt/conda",
    )  # fmt: skip
    with pytest.raises(StackbuildError, match="two prefixes for the Python packages of lab") as caught:
        home(CONDA.replace('{ from = "conda" }', '{ from = "conda", prefix = "/opt/venv" }'))
    assert caught.value.where == "stacks.toml:23"
    with pytest.raises(StackbuildError, match="no prefix for the Python packages of lab"):
        home(CONDA.replace('{ from = "conda" }', '{ from = "apt" }'))


def test_interpreters(family: New) -> None:
    """conda's is loaded with the C library of the apt pins, and one of another prefix compiles otherwise."""
    found = lab(family, "numpy")
    target = Target.parse(SON)
    one = python.find(found.manifest, found.locks, target)
    assert (one.kind, one.version, one.executable) == ("conda", "3.11.9", "/opt/conda/bin/python3.11")
    assert set(one.roles) == {"openssl", "python", "apt:libc6", "apt:libgcc-s1"}
    moved = found.changed(CONDA + 'conda-prefix = "/opt/lab"\n' + CHILD.format('"numpy"'))
    other = python.find(moved.manifest, moved.locks, target)
    assert other.roles == one.roles
    assert other.key != one.key
    found.conda(LAB, NUMPY)
    with pytest.raises(StackbuildError, match="no conda Python: child:cpu@linux/amd64"):
        python.find(found.manifest, found.locks, target)


def test_glibc_of_a_variant_where_no_apt_pin_says_it(family: New) -> None:
    found = family('[variants.cuda]\nvirtual = ["__cuda==13.0", "__glibc==2.31"]\n')
    cuda, plain = (Target("base", variant, "linux/amd64") for variant in ("cuda", "cpu"))
    for target in (cuda, plain):
        found.locks.put(target, "apt", Lock(request=(), pins=tuple(pin for pin in APT if pin.name != "libc6")))
    assert python.glibc(found.manifest, found.locks, cuda) == "2.31"
    with pytest.raises(StackbuildError, match="no glibc for pip"):
        python.glibc(found.manifest, found.locks, plain)


def test_two_pythons_for_two_platforms(family: New, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(python, "NATIVE", "linux/amd64")
    found = lab(family, "numpy")
    arm = Target.parse("child:cpu@linux/arm64")
    found.conda("lab:cpu@linux/arm64", conda_pin("python", "3.11.10"))
    with pytest.raises(StackbuildError, match=r"two Pythons: .* has 3\.11\.10, linux/amd64 has 3\.11\.9"):
        python.native(found.manifest, found.locks, arm)
    found.conda("lab:cpu@linux/arm64", PYTHON)
    assert python.native(found.manifest, found.locks, arm).version == "3.11.9"
