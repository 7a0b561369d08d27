"""`without`, `prefer` and `override`: what locks make of them, and when they end. Real uv, tiny wheels."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from builder.errors import Problems, StackbuildError
from builder.kinds.pip.lockfile import dumps, loads
from builder.kinds.pip.waivers import Preference, declared, preferences
from builder.manifest.model import Target
from builder.workflow.project import Project
from builder.workflow.waivers import standing
from tests.pip_family import VENV, Family, told

New = Callable[[str], Family]
LAB, SON, GRANDSON = "lab:cpu@linux/amd64", "son:cpu@linux/amd64", "grandson:cpu@linux/amd64"
WITHOUT = f"""
[images.lab]
from = "base"
{VENV}pip = ["torch"]
without = [{{ package = "Nvidia_NCCL-cu12", reason = "cu13's does for both" }}]
[images.son]
from = "lab"
pip = ["tensorflow"]
"""


def test_a_package_is_left_out_though_others_require_it(family: New, index: Any) -> None:
    """Of the children too; and the lock says so, for whoever reads or checks it."""
    index.wheel("torch", "2.0", "nvidia-nccl-cu12==2.27", "six")
    index.wheel("six", "1.0")
    index.wheel("tensorflow", "2.0", "nvidia-nccl-cu12>=2.20")
    found = family(WITHOUT)
    assert found.lock(LAB) == {"six": "1.0", "torch": "2.0"}
    assert found.lock(SON) == {"tensorflow": "2.0"}
    text = dumps(found.pip(LAB))
    assert "#\n# without: nvidia-nccl-cu12\n\n# six\nsix==1.0" in text
    assert "    # requires: nvidia-nccl-cu12==2.27\n" in text
    assert loads(text, "x") == found.pip(LAB)
    assert found.check(LAB) == found.check(SON) == []
    undone = found.changed(WITHOUT.replace("without =", "sdists = []\n#"))
    assert [one.expected for one in undone.check(LAB)] == ["nvidia-nccl-cu12, which stacks.toml no longer leaves out"]


def test_a_lock_from_before_is_stale(family: New, index: Any) -> None:
    index.wheel("torch", "2.0", "nvidia-nccl-cu12")
    index.wheel("nvidia-nccl-cu12", "2.27")
    found = family(WITHOUT.replace("without =", "#"))
    assert found.lock(LAB) == {"nvidia-nccl-cu12": "2.27", "torch": "2.0"}
    after = found.changed(WITHOUT)
    assert told(after.check(LAB)) == [
        "lock is stale: locks/lab/linux-amd64.pip.txt",
        "lock holds what stacks.toml leaves out: nvidia-nccl-cu12",
    ]
    assert after.lock(LAB) == {"torch": "2.0"}


def test_asked_for_and_left_out(family: New) -> None:
    text = WITHOUT.replace('"torch"]', '"torch", "nvidia-nccl-cu12"]')
    with pytest.raises(StackbuildError, match="asked for and left out: nvidia-nccl-cu12"):
        family(text).lock(LAB)


OVERRIDE = f"""
[images.lab]
from = "base"
{VENV}pip = ["numpy", "six"]
[images.son]
from = "lab"
pip = ["old"]
override = [{{ pip = "numpy==1.26.4", reason = "old has no release for numpy 2", until = 2027-01-01 }}]
[images.grandson]
from = "son"
pip = ["further"]
"""


def overriding(family: New, index: Any, text: str = OVERRIDE) -> Family:
    index.wheel("numpy", "1.26.4", "shim")
    index.wheel("numpy", "2.4.0")
    index.wheel("shim", "1.0")
    index.wheel("six", "1.0")
    index.wheel("old", "1.0", "numpy<2")
    index.wheel("further", "1.0", "numpy<2", "old")
    found = family(text)
    assert found.lock(LAB) == {"numpy": "2.4.0", "six": "1.0"}
    return found


def test_an_override_replaces_the_ancestors_pin(family: New, index: Any) -> None:
    """With what the new version requires, and for the children, to which the other version is no more."""
    found = overriding(family, index)
    assert found.lock(SON) == {"numpy": "1.26.4", "old": "1.0", "shim": "1.0"}
    assert found.lock(GRANDSON) == {"further": "1.0"}
    for target in (LAB, SON, GRANDSON):
        assert found.check(target) == []
    undone = found.changed(OVERRIDE.replace("override =", "#"))
    assert told(undone.check(SON)) == ["lock is stale: locks/son/linux-amd64.pip.txt"]
    found.edit(SON, numpy="1.26.3")
    assert "lock is no solution: numpy==1.26.4 is not met" in told(found.check(SON))


def test_an_override_that_breaks_what_is_inherited(family: New, index: Any) -> None:
    index.wheel("pandas", "3.0", "numpy>=2")
    index.wheel("numpy", "1.26.4")
    index.wheel("numpy", "2.4.0")
    found = family(OVERRIDE.replace('"six"', '"pandas"').replace('"old"', '"numpy"'))
    found.lock(LAB)
    with pytest.raises(StackbuildError) as caught:
        found.lock(SON)
    assert str(caught.value) == (
        "an override breaks its parent: pandas==3.0 of lab requires numpy>=2\n"
        "  the new lock:10\n"
        "  got: numpy==1.26.4\n"
        "  next: override pandas too, or take another version of numpy"
    )


def test_an_override_of_nothing(family: New, index: Any) -> None:
    found = overriding(family, index, OVERRIDE.replace("numpy==1.26.4", "scipy==1.0"))
    with pytest.raises(StackbuildError, match="override of nothing: scipy"):
        found.lock(SON)


def test_waivers_are_told_until_their_day(family: New) -> None:
    found = family(OVERRIDE + 'prefer = [{ path = "x/y", package = "A.b", over = "c", reason = "same" }]\n')
    project = Project(manifest=found.manifest, locks=found.locks, store=found.store)
    targets = [Target.parse(GRANDSON)]
    assert [f"{image}: {one}" for image, one in standing(project, targets, date(2027, 1, 1))] == [
        "son: override numpy==1.26.4 (until 2027-01-01): old has no release for numpy 2",
        "grandson: prefer A.b's x/y over c's: same",
    ]
    with pytest.raises(Problems) as caught:
        standing(project, targets, date(2027, 1, 2))
    assert str(caught.value) == (
        "a waiver has ended: override numpy==1.26.4 in son\n"
        "  stacks.toml:26\n"
        "  expected: nothing of it after 2027-01-01\n"
        "  got: its reason was: old has no release for numpy 2\n"
        "  next: remove it, or give it a new last day; then: stackbuild lock son"
    )
    assert standing(project, [Target.parse(LAB)], date(2099, 1, 1)) == ()


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ('override = [{ pip = "numpy==1", reason = "x" }]', "missing key: images.son.override[0].until"),
        ('override = [{ pip = "numpy==1", until = 2027-01-01 }]', "missing key: images.son.override[0].reason"),
        ('override = [{ pip = "numpy>=1", reason = "x", until = 2027-01-01 }]', "bad value"),
        ('override = [{ pip = "numpy==1", reason = " ", until = 2027-01-01 }]', "bad value"),
        ('override = [{ pip = "numpy==1", reason = "x", until = 2027-01-01T00:00:00Z }]', "wrong type"),
        ('without = [{ package = "numpy" }]', "missing key: images.son.without[0].reason"),
        ('without = ["numpy"]', "wrong type"),
        ('prefer = [{ path = "../x", package = "a", reason = "x" }]', "bad value"),
        ('prefer = [{ path = "x//y", package = "a", reason = "x" }]', "bad value"),
    ],
)
def test_what_is_no_waiver(key: str, words: str, family: New) -> None:
    with pytest.raises(StackbuildError) as caught:
        family(OVERRIDE[: OVERRIDE.index("override =")] + key)
    assert words in caught.value.what


def test_a_day_that_no_calendar_has(family: New) -> None:
    found = family(OVERRIDE.replace("2027-01-01", '"2027-02-30"'))
    with pytest.raises(StackbuildError, match="no such day: 2027-02-30"):
        declared(found.manifest, Target.parse(SON))


def test_the_last_preference_of_a_path_wins(family: New) -> None:
    found = family(
        f'[images.lab]\nfrom = "base"\n{VENV}prefer = [{{ path = "x", package = "a", reason = "r" }}]\n'
        '[images.son]\nfrom = "lab"\nprefer = [{ path = "x", package = "b", reason = "r" }]\n'
    )
    assert preferences(found.manifest, Target.parse(LAB)) == (Preference(path="x", package="a"),)
    assert preferences(found.manifest, Target.parse(SON)) == (Preference(path="x", package="b"),)
