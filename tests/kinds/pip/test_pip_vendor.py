"""Stacks of a vendor: one index for what moves as one, and the CUDA that the environment asks for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from builder.digest import Digest
from builder.errors import StackbuildError
from builder.kinds.pip import vendor
from builder.lock import Lock, Pin
from builder.manifest.model import Target
from tests.pip_family import VENV, Family, told

New = Callable[[str], Family]
CUDA = Target.parse("torch:cuda@linux/amd64")
TEXT = f"""
[indexes]
own = "https://index.example/simple"
[variants.cuda]
env = {{ NVIDIA_REQUIRE_CUDA = "@WANTED@" }}
[sets.torch]
together = true
pip = ["torch", "Torch_Vision"]
[images.torch]
from = "base"
variants = ["cpu", "cuda"]
use = ["torch"]
{VENV}"""


def lock(*pins: str) -> Lock:
    """Pins written `name==version`, or `name==version@index`."""

    def one(text: str) -> Pin:
        pinned, _, source = text.partition("@")
        name, _, version = pinned.partition("==")
        filename = f"{name}-{version}-py3-none-any.whl"
        return Pin(
            kind="pip", name=name, version=version, filename=filename, digest=Digest.of(b""), size=1, source=source
        )

    return Lock(request=(), pins=tuple(map(one, pins)))


def problems(family: New, require: str, own: Sequence[str], inherited: Sequence[str] = ()) -> list[StackbuildError]:
    manifest = family(TEXT.replace("@WANTED@", require)).manifest
    return list(vendor.problems(manifest, CUDA, lock(*own), (("parent", lock(*inherited)),)))


@pytest.mark.parametrize("require", ["cuda>=13.0", "cuda>=13.1 brand=tesla,driver>=580", "cuda>=13.0,driver>=580", ""])
def test_what_fits(require: str, family: New) -> None:
    assert problems(family, require, ["torch==2.12.0", "nvidia-nccl-cu13==2.28", "nvidia-cuda-runtime==13.0.96"]) == []


@pytest.mark.parametrize("require", ["cuda>=12.5", "cuda>=14.0", "cuda>=13.0 cuda>=12.0,brand=tesla"])
def test_what_does_not(require: str, family: New) -> None:
    (error,) = problems(family, require, ["torch==2.12.0", "nvidia-nccl-cu13==2.28", "nvidia-cuda-runtime==13.0.96"])
    assert error.what == "NVIDIA_REQUIRE_CUDA does not fit the wheels: torch:cuda@linux/amd64"
    assert error.expected == (
        "cuda>=13.0, since CUDA 13 is what nvidia-cuda-runtime==13.0.96, nvidia-nccl-cu13==2.28 are built for"
    )
    assert error.got == f"NVIDIA_REQUIRE_CUDA={require}"


def test_two_cudas_in_one_image_want_the_newer_driver(family: New) -> None:
    both = (["nvidia-nccl-cu12==2.27"], ["nvidia-nccl-cu13==2.28"])
    assert problems(family, "cuda>=13.0", *both) == []
    assert told(problems(family, "cuda>=12.5", *both))


def test_a_local_version_tells(family: New) -> None:
    assert problems(family, "cuda>=12.6", ["torch==2.12.0+cu126"]) == []
    assert told(problems(family, "cuda>=12.6", ["torch==2.12.0+cu130"]))
    assert problems(family, "cuda>=12.6", ["torch==2.12.0+cpu", "numpy==2.0"]) == []


def test_one_index_for_what_moves_as_one(family: New) -> None:
    assert problems(family, "", ["torch==1@own", "torch-vision==1@own", "numpy==2"]) == []
    (error,) = problems(family, "", ["torch==1@own"], ["torch-vision==1"])
    assert error.what == "set torch comes from several indexes: torch:cuda@linux/amd64"
    assert error.got == "torch from own, torch-vision from pypi"
    assert error.where == "stacks.toml:23"


def test_locking_and_checking_tell(family: New, index: Any) -> None:
    index.wheel("torch", "1", "nvidia-nccl-cu13")
    index.wheel("torch-vision", "1")
    index.wheel("nvidia-nccl-cu13", "1")
    fine = family(TEXT.replace("@WANTED@", "cuda>=13.0"))
    fine.lock(str(CUDA))
    assert fine.check(str(CUDA)) == []
    wrong = fine.changed(TEXT.replace("@WANTED@", "cuda>=12.5"))
    assert told(wrong.check(str(CUDA))) == ["NVIDIA_REQUIRE_CUDA does not fit the wheels: torch:cuda@linux/amd64"]
    with pytest.raises(StackbuildError, match="NVIDIA_REQUIRE_CUDA does not fit"):
        wrong.lock(str(CUDA))
