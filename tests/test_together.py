"""Sets that move as one: what a bump of one member is."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.digest import Digest
from builder.lock import Lock, Pin
from builder.manifest.model import Manifest, Target
from builder.manifest.read import loads
from builder.together import problems, unlike, widened

TARGET = Target.parse("lab:gaudi@linux/amd64")
TEXT = """
[project]
name = "x"
platforms = ["linux/amd64"]
[archives.debian]
suites = ["bookworm"]
[layouts.plain]
user = "jovyan"
uid = 1000
gid = 0
home = "/home/jovyan"
[variants.gaudi]
[sets.gaudi]
together = true
apt = ["habanalabs-driver==1.20"]
pip = ["Torch==2.5", "habana_torch>=1"]
[sets.gaudi.on.gaudi]
pip = ["media-loader"]
[sets.other]
pip = ["numpy", "scipy"]
[images.lab]
from = "archive:debian"
layout = "plain"
variants = ["cpu", "gaudi"]
use = ["gaudi", "other"]
python = { from = "apt", prefix = "/opt/venv" }
"""


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    return loads(TEXT, tmp_path / "stacks.toml")


def lock(kind: str, request: str, **versions: str) -> Lock:
    pins = tuple(
        Pin(kind=kind, name=name.replace("_", "-"), version=one, filename="x", digest=Digest.of(b""), size=1)
        for name, one in sorted(versions.items())
    )
    return Lock(request=tuple(request.split()), pins=pins)


def stack(driver: str, torch: str, plugin: str, loader: str = "1") -> dict[str, Lock]:
    apt = lock("apt", f"habanalabs-driver=={driver}", habanalabs_driver=driver)
    pip = lock(
        "pip", f"habana-torch>=1 media-loader torch=={torch}",
        torch=torch, habana_torch=plugin, media_loader=loader, numpy=f"{torch}.1", scipy="1",
    )  # fmt: skip
    return {"apt": apt, "pip": pip}


def told(manifest: Manifest, before: dict[str, Lock], after: dict[str, Lock], *allowed: str) -> list[str]:
    return [one.got for one in problems(manifest, TARGET, before, after, allowed)]


def test_all_or_nothing_moves(manifest: Manifest) -> None:
    before = stack("1.20", "2.5", "1.20")
    assert told(manifest, before, before) == []
    assert told(manifest, before, stack("1.21", "2.6", "1.21", "2")) == []


def test_a_bump_of_one_over_several_kinds(manifest: Manifest) -> None:
    before, after = stack("1.20", "2.5", "1.20"), stack("1.20", "2.6", "1.20")
    (error,) = problems(manifest, TARGET, before, after, ())
    assert str(error) == (
        "set gaudi moves as one: lab:gaudi@linux/amd64\n"
        "  stacks.toml:13\n"
        "  expected: all of its pins to move, or all of its requests to be touched\n"
        "  got: moved: torch 2.5 → 2.6; not moved: habanalabs-driver 1.20, habana-torch 1.20, media-loader 1\n"
        "  next: bump the others too, or if they are meant to stay: stackbuild lock -P habanalabs-driver"
    )


def test_a_member_may_stay_whose_request_was_touched(manifest: Manifest) -> None:
    before, after = stack("1.20", "2.5", "1.20"), stack("1.21", "2.6", "1.20", "2")
    assert told(manifest, before, after) != []
    request = "habana-torch>=1.20 media-loader torch==2.6"
    after["pip"] = lock("pip", request, torch="2.6", habana_torch="1.20", media_loader="2")
    assert told(manifest, before, after) == []


def test_what_the_command_lets_move(manifest: Manifest) -> None:
    assert widened(manifest, ["Media_Loader"]) >= {"habanalabs-driver", "torch", "habana-torch", "media-loader"}
    assert widened(manifest, ["numpy"]) == {"numpy"}
    before, after = stack("1.20", "2.5", "1.20"), stack("1.20", "2.6", "1.20")
    assert told(manifest, before, after, *widened(manifest, ["habana-torch"])) == []


def test_what_is_new_or_gone_is_no_bump(manifest: Manifest) -> None:
    before = stack("1.20", "2.5", "1.20")
    assert told(manifest, {"apt": before["apt"], "pip": lock("pip", "")}, stack("1.21", "2.5", "1.20")) == []
    assert list(problems(manifest, TARGET, {"apt": None, "pip": None}, before, ())) == []


def test_a_member_of_another_variant_does_not_count(manifest: Manifest) -> None:
    before, after = stack("1.20", "2.5", "1.20"), stack("1.21", "2.6", "1.21")
    assert told(manifest, before, after) == ["moved: habanalabs-driver 1.20 → 1.21, habana-torch 1.20 → 1.21, "
                                             "torch 2.5 → 2.6; not moved: media-loader 1"]  # fmt: skip
    plain = Target.parse("lab:cpu@linux/amd64")
    assert list(problems(manifest, plain, before, after, ())) == []


def of_release(manifest: Manifest, *versions: str) -> list[str]:
    """What is said of a driver of apt, a plugin and a loader of pip, and of what has another name."""
    names = ("habanalabs-rdma-core", "habana-torch-plugin", "Habana_Torch.dataloader", "torch")
    kinds = ("apt", "pip", "pip", "pip")
    pins = [
        Pin(kind=kind, name=name, version=version, filename="x", digest=Digest.of(b""), size=1)
        for kind, name, version in zip(kinds, names, versions, strict=True)
    ]
    return [one.got for one in unlike(manifest, TARGET, pins)]


def test_a_driver_and_its_plugin_are_of_one_release(tmp_path: Path) -> None:
    """Whoever wrote the version, whatever follows the third number; a name that nobody listed may be of any."""
    text = TEXT.replace("[sets.gaudi]\n", '[sets.gaudi]\nsame-release = ["habanalabs-*", "habana-torch-*"]\n')
    manifest = loads(text, tmp_path / "stacks.toml")
    assert of_release(manifest, "1:1.21.0-555", "1.21.0.555", "1.21", "2.6.0") == []
    assert of_release(manifest, "1.21.0-555", "1.20.1.97", "1.21.0", "2.6.0") == [
        "pip Habana_Torch.dataloader 1.21.0, pip habana-torch-plugin 1.20.1.97, apt habanalabs-rdma-core 1.21.0-555"
    ]


def test_releases_are_nobodys_business_by_default(manifest: Manifest) -> None:
    assert of_release(manifest, "1.21.0-555", "1.20.1.97", "1.19.0", "2.6.0") == []
