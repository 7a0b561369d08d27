"""What an image is in each of its variants."""

from __future__ import annotations

from pathlib import Path

from builder.manifest.env import PATH, image_env
from builder.manifest.model import Manifest, Target
from builder.manifest.read import loads

AMD64 = "linux/amd64"
TEXT = """
[project]
name = "notebooks"
platforms = ["linux/amd64"]
repository = "registry.example.com/{image}"
[archives.bookworm]
suites = ["bookworm"]
[archives.trixie]
suites = ["trixie"]
[indexes]
local = "./wheels"
[channels]
team = "https://packages.example.com/conda"
[layouts.plain]
user = "somebody"
uid = 1000
gid = 0
home = "/home/somebody"
[variants.cuda]
env = { NVIDIA_VISIBLE_DEVICES = "all", MODE = "variant" }
indexes = { torch = "local" }
[variants.gaudi]

[images.base]
from = "archive:bookworm"
layout = "plain"
variants = ["cpu", "gaudi"]
python = { from = "apt", prefix = "/opt/venv" }
on.gaudi = { from = "archive:trixie", env = { ROOT = "moved" } }
[images.middle]
from = "base"
[images.leaf]
from = "base"
publish = "leaf{variant}-full"
variants = ["cpu", "cuda", "gaudi"]
env = { MODE = "image" }
[images.narrow]
from = "base"
pip = ["plain==1"]
on.cpu = { pip = ["variant==1"] }
on."@linux/amd64" = { pip = ["plain==2"], env = { WHERE = "platform" } }
on."cpu@linux/amd64" = { pip = ["both==1"], env = { WHERE = "both" } }
[images.foreign]
from = "oci:quay.io/jupyter/base-notebook:2026-10-26"
archive = "bookworm"
apt = ["curl"]
"""


def manifest(tmp_path: Path) -> Manifest:
    return loads(TEXT, tmp_path / "stacks.toml")


def test_a_variant_moves_the_root(tmp_path: Path) -> None:
    found = manifest(tmp_path)
    assert found.image(Target("base", "cpu", AMD64)).archive == "bookworm"
    assert found.image(Target("base", "gaudi", AMD64)).archive == "trixie"
    assert found.root_archive(Target("leaf", "gaudi", AMD64)).name == "trixie"
    assert found.root_archive(Target("leaf", "cuda", AMD64)).name == "bookworm"
    assert found.image(Target("base", "gaudi", AMD64)).env == {"ROOT": "moved"}


def test_a_child_takes_its_parents_same_variant_or_the_plain_one(tmp_path: Path) -> None:
    found = manifest(tmp_path)
    lineage = found.lineage(Target("leaf", "cuda", AMD64))
    assert [str(one) for one in lineage] == ["base:cpu@linux/amd64", "leaf:cuda@linux/amd64"]
    lineage = found.lineage(Target("leaf", "gaudi", AMD64))
    assert [str(one) for one in lineage] == ["base:gaudi@linux/amd64", "leaf:gaudi@linux/amd64"]


def test_env_of_a_variant_yields_to_an_image_s_own(tmp_path: Path) -> None:
    found = manifest(tmp_path)
    env = image_env(found, Target("leaf", "cuda", AMD64))
    assert env["NVIDIA_VISIBLE_DEVICES"] == "all"
    assert env["MODE"] == "image"
    assert "NVIDIA_VISIBLE_DEVICES" not in image_env(found, Target("leaf", "cpu", AMD64))
    assert env["PATH"] == f"/opt/venv/bin:{PATH}"


def test_names_as_upstream_has_them(tmp_path: Path) -> None:
    found = manifest(tmp_path)
    names = [found.published(Target("leaf", variant, AMD64)) for variant in ("cpu", "cuda")]
    assert names == ["registry.example.com/leaf-full", "registry.example.com/leaf-cuda-full"]
    assert found.published(Target("base", "gaudi", AMD64)) == "registry.example.com/base-gaudi"


def test_a_foreign_root_has_no_layout_and_its_own_path(tmp_path: Path) -> None:
    found = manifest(tmp_path)
    target = Target("foreign", "cpu", AMD64)
    assert found.image(target).base == "quay.io/jupyter/base-notebook:2026-10-26"
    assert found.layout(target) is None
    assert found.root_archive(target).name == "bookworm"
    assert image_env(found, target) == {}


def test_a_folder_of_the_project_is_an_index(tmp_path: Path) -> None:
    found = manifest(tmp_path)
    assert found.indexes == {"local": (tmp_path / "wheels").as_uri()}
    assert found.channels == {"team": "https://packages.example.com/conda"}
    assert found.variants["cuda"].indexes == {"torch": "local"}


def test_options_are_the_nearest(tmp_path: Path) -> None:
    found = manifest(tmp_path)
    assert found.option(Target("leaf", "cuda", AMD64), "python") == {"from": "apt", "prefix": "/opt/venv"}
    assert found.option(Target("foreign", "cpu", AMD64), "python") is None


def test_on_takes_variants_platforms_and_both(tmp_path: Path) -> None:
    found = manifest(tmp_path)
    target = Target("narrow", "cpu", AMD64)
    assert found.ask(target, "pip") == ("both==1", "plain==2", "variant==1")
    assert found.image(target).env == {"WHERE": "both"}
    assert found.where(target, "pip", "both") == "stacks.toml:42"
    other = Target("narrow", "cpu", "linux/arm64")
    assert found.ask(other, "pip") == ("plain==1", "variant==1")
    assert found.image(other).env == {}
