"""Notebook images on the family of `image_family.py`, as the platforms that run such images know them."""

from __future__ import annotations

from tests.image_family import Site

IMAGES = """
[variants.cuda]
platforms = ["linux/amd64"]

[images.jupyter]
from = "root"
description = "JupyterLab: notebooks"
overlays = ["lab", { name = "jupyter", owner = "root" }]
expose = [8888, 4040]

[images.jupyter.labels]
"io.openshift.s2i.scripts-url" = "image:///usr/libexec/s2i"

[images.torch]
from = "jupyter"
publish = "jupyter-torch{variant}-full"
variants = ["cpu", "cuda"]
overlays = ["full"]

[images.code]
from = "root"
overlays = ["code"]

[images.studio]
from = "root"
overlays = ["full"]
labels."notebooks.kubeflow.org/server-type" = "group-two"
"""
_SERVICES = (("jupyter", "jupyterlab"), ("code", "code-server"))


def notebooks(site: Site, more: str = "") -> Site:
    """The site with a server of each of Kubeflow's types, one of them with a CUDA variant; and more images."""
    for overlay, service in _SERVICES:
        path = site.folder / "overlays" / overlay / "etc/services.d" / service / "run"
        path.parent.mkdir(parents=True)
        path.write_text("#!/bin/sh\n")
    manifest = site.folder / "stacks.toml"
    manifest.write_text(manifest.read_text() + IMAGES + more)
    return site
