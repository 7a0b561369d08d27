"""The environment of an image: what follows from its layout, and what it and its ancestors say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from builder.manifest.model import Manifest, Target

PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CONDA: Final = "/opt/conda"
"""Where conda packages lie unless `conda-prefix` says otherwise."""


def image_env(manifest: Manifest, target: Target) -> dict[str, str]:
    """The environment variables of an image's config, sorted by name.

    NB_USER, NB_UID, NB_GID and HOME follow from the layout, HOME_TMP from its home template. The variant's come next,
    then each image's own: a child's value replaces its ancestors', a variant's the general one of the same image. The
    folders of the programs that conda and Python packages bring come first in PATH.
    """
    env: dict[str, str] = {}
    if layout := manifest.layout(target):
        env = {"NB_USER": layout.user, "NB_UID": str(layout.uid), "NB_GID": str(layout.gid), "HOME": layout.home}
        if layout.home_template:
            env["HOME_TMP"] = layout.home_template
    family = manifest.family(target)
    if not family[0].base:
        env["PATH"] = PATH
    env.update(manifest.variants[target.variant].env)
    for one in family:
        env.update(one.env)
    for folder in programs(manifest, target):
        if "PATH" in env and folder not in env["PATH"].split(":"):
            env["PATH"] = f"{folder}:{env['PATH']}"
    return dict(sorted(env.items()))


def programs(manifest: Manifest, target: Target) -> tuple[str, ...]:
    """The folders that come first in PATH, the very first last: npm's, conda's, then the virtual environment's."""
    found = []
    node = manifest.option(target, "node")
    if isinstance(node, Mapping) and "prefix" in node:
        found.append(f"{node['prefix']}/bin")
    if any(manifest.ask(one, "conda") for one in manifest.lineage(target)):
        found.append(f"{manifest.option(target, 'conda-prefix') or CONDA}/bin")
    python = manifest.option(target, "python")
    if isinstance(python, Mapping) and "prefix" in python:
        found.append(f"{python['prefix']}/bin")
    return tuple(dict.fromkeys(found))
