"""Images that name others: what is refused in a manifest, and which targets are meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.errors import Problems
from builder.exports.mermaid import mermaid
from builder.manifest import edges
from builder.manifest.model import Manifest, Target
from builder.manifest.read import loads

HEAD = """
[project]
name = "edges"
platforms = ["linux/amd64", "linux/arm64"]
[archives.debian]
suites = ["bookworm"]
[layouts.plain]
user = "jovyan"
uid = 1000
gid = 100
home = "/home/jovyan"
[variants.cuda]
platforms = ["linux/amd64"]
[images.base]
from = "archive:debian"
layout = "plain"
[images.kernel]
from = "base"
variants = ["cpu", "cuda"]
"""
ROW = '{ image = "kernel", for = "eg-docker", name = "python" }'


def manifest(text: str) -> Manifest:
    return loads(HEAD + text, Path("stacks.toml"))


def refused(text: str) -> str:
    with pytest.raises(Problems) as caught:
        manifest(text)
    return str(caught.value)


def test_the_variant_that_is_meant() -> None:
    found = manifest(
        '[images.gateway]\nfrom = "base"\nvariants = ["cpu", "cuda"]\n'
        f'kernelspecs = [{ROW}]\n[images.plain]\nfrom = "gateway"\n'
        'kernelspecs = [{ image = "kernel", variant = "cuda", for = "eg-docker", name = "gpu" }]\n'
        'platforms = ["linux/amd64"]\n'
    )
    for variant in ("cpu", "cuda"):
        target = Target("gateway", variant, "linux/amd64")
        assert edges.named(found, target) == (Target("kernel", variant, "linux/amd64"),)
    assert edges.named(found, Target("plain", "cpu", "linux/amd64")) == (Target("kernel", "cuda", "linux/amd64"),)
    assert [str(one) for one in edges.whole(found, Target("plain", "cpu", "linux/amd64"))] == [
        "base:cpu@linux/amd64",
        "kernel:cpu@linux/amd64",
        "gateway:cpu@linux/amd64",
        "kernel:cuda@linux/amd64",
        "plain:cpu@linux/amd64",
    ]


def test_a_later_one_of_the_same_name_counts() -> None:
    found = manifest(
        '[images.other]\nfrom = "base"\n[images.gateway]\nfrom = "base"\n'
        f'kernelspecs = [{ROW}]\non."@linux/arm64".kernelspecs = [{ROW.replace("kernel", "other", 1)}]\n'
    )
    for platform, image in (("linux/amd64", "kernel"), ("linux/arm64", "other")):
        assert edges.named(found, Target("gateway", "cpu", platform)) == (Target(image, "cpu", platform),)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '[images.gateway]\nfrom = "base"\nkernelspecs = [{ image = "nobody", for = "eg-docker", name = "p" }]',
            "nobody",
        ),
        (f'[images.gateway]\nfrom = "base"\nkernelspecs = [{ROW}, {ROW}]', "twice"),
        (
            '[images.gateway]\nfrom = "base"\nkernelspecs = [{ image = "kernel", for = "yarn", name = "p" }]',
            "eg-docker",
        ),
        (
            '[images.gateway]\nfrom = "base"\nkernelspecs = [{ image = "kernel", for = "eg-docker", name = ".p" }]',
            "letters",
        ),
        (
            '[images.gateway]\nfrom = "base"\nkernelspecs = [{ image = "gateway", for = "eg-docker", name = "p" }]',
            "images that need each other: gateway names gateway",
        ),
        (
            f'[images.gateway]\nfrom = "base"\nkernelspecs = [{ROW.replace("kernel", "late", 1)}]\n'
            '[images.late]\nfrom = "gateway"\n',
            "images that need each other: gateway names late",
        ),
        (
            f'[images.gateway]\nfrom = "base"\nuse = ["specs"]\n[images.late]\nfrom = "gateway"\n'
            f"[sets.specs]\nkernelspecs = [{ROW.replace('kernel', 'late', 1)}]\n",
            "images that need each other: gateway names late",
        ),
        (
            '[images.gateway]\nfrom = "base"\n'
            'kernelspecs = [{ image = "kernel", variant = "cuda", for = "eg-docker", name = "p" }]',
            "gateway:cpu names kernel:cuda, which is not there for linux/arm64",
        ),
        (
            '[variants.rocm]\n[images.gateway]\nfrom = "base"\n'
            'kernelspecs = [{ image = "kernel", variant = "rocm", for = "eg-docker", name = "p" }]',
            "gateway:cpu names kernel:rocm, which is not there for linux/amd64, linux/arm64",
        ),
    ],
)
def test_what_is_refused(text: str, said: str) -> None:
    assert said in refused(text)


def test_two_images_that_name_each_other_are_told_of() -> None:
    said = refused(
        f'[images.one]\nfrom = "base"\nkernelspecs = [{ROW.replace("kernel", "two", 1)}]\n'
        f'[images.two]\nfrom = "base"\nkernelspecs = [{ROW.replace("kernel", "one", 1)}]\n'
    )
    assert "one names two, which needs one" in said


def test_the_chart_has_a_dashed_arrow() -> None:
    found = manifest(f'[images.gateway]\nfrom = "base"\nkernelspecs = [{ROW}]\n')
    assert mermaid(found).splitlines()[-1] == "    kernel -.-> gateway"
    assert "-.->" not in mermaid(found, {"base", "kernel"})
