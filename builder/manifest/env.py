"""The environment of an image: what follows from its layout, and what it and its ancestors say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from builder.manifest.model import PLAIN, Manifest

PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def image_env(manifest: Manifest, image: str, variant: str = PLAIN) -> dict[str, str]:
    """The environment variables of an image's config, sorted by name.

    NB_USER, NB_UID, NB_GID and HOME follow from the layout, HOME_TMP from its home template. A child's value
    replaces its ancestors', a variant's the general one of the same image. The folder of the programs that
    Python packages bring comes first in PATH.
    """
    layout = manifest.layout(image)
    env = {"NB_USER": layout.user, "NB_UID": str(layout.uid), "NB_GID": str(layout.gid), "HOME": layout.home}
    if layout.home_template:
        env["HOME_TMP"] = layout.home_template
    env["PATH"] = PATH
    for one in manifest.chain(image):
        env.update(one.env)
        special = one.on.get(variant, {}).get("env", {})
        assert isinstance(special, Mapping)
        env.update({name: str(value) for name, value in special.items()})
    python = manifest.inherited(image, "python")
    if isinstance(python, Mapping):
        programs = f"{python['prefix']}/bin"
        if programs not in env["PATH"].split(":"):
            env["PATH"] = f"{programs}:{env['PATH']}"
    return dict(sorted(env.items()))
