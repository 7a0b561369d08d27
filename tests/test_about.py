"""Annotations: what follows from the manifest, in OCI's words."""

from __future__ import annotations

from pathlib import Path

from builder.about import common, standard
from builder.manifest.model import Target
from builder.manifest.read import loads

MANIFEST = """
[project]
name = "family"
platforms = ["linux/amd64"]
version = "2026.11"
source = "https://git.example.com/notebooks"
documentation = "https://docs.example.com/notebooks"
vendor = "Example"
licenses = "MIT"

[layouts.user]
user = "jovyan"
uid = 1000
gid = 100
home = "/home/jovyan"

[archives.bookworm]
suites = ["bookworm"]

[variants.cuda]

[images.lab]
from = "archive:bookworm"
layout = "user"
description = "a lab"
publish = "lab{variant}-full"
variants = ["cpu", "cuda"]
"""
LEFT_OUT = ("description", "version", "vendor")
BARE = "\n".join(line for line in MANIFEST.splitlines() if not line.startswith(LEFT_OUT))


def test_everything_that_is_known() -> None:
    manifest = loads(MANIFEST, Path("stacks.toml"))
    base = {"base.name": "quay.io/a/b:1", "base.digest": "sha256:" + "1" * 64}
    found = standard(manifest, Target("lab", "cuda", "linux/amd64"), base)
    assert {name.removeprefix("org.opencontainers.image."): value for name, value in found.items()} == {
        "title": "lab-cuda-full",
        "description": "a lab",
        "version": "2026.11",
        "source": "https://git.example.com/notebooks",
        "documentation": "https://docs.example.com/notebooks",
        "vendor": "Example",
        "licenses": "MIT",
        **base,
    }


def test_nothing_is_said_of_what_is_not_known() -> None:
    found = standard(loads(BARE, Path("stacks.toml")), Target("lab", "cpu", "linux/amd64"), {})
    assert sorted(name.rpartition(".")[2] for name in found) == ["documentation", "licenses", "source", "title"]


def test_an_index_says_what_all_its_images_say() -> None:
    assert common([{"a": "1", "b": "2"}, {"a": "1", "b": "3"}, {"a": "1"}]) == {"a": "1"}
    assert common([{"a": "1"}]) == {"a": "1"}
