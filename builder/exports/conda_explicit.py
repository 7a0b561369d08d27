"""The conda packages of a target as a list of URLs: `conda create --file`, `micromamba create -f` install it.

No solver runs, and each file is checked. Digests are md5, the form that every conda reads.
"""

from __future__ import annotations

import os

from builder.errors import StackbuildError
from builder.exports import Scope, Subject
from builder.kinds.conda.places import channels_of
from builder.kinds.conda.virtual import subdir

SCOPE = Scope.TARGET


def export(subject: Subject) -> str:
    """The text; packages by name.

    Channels are written with the URL of the manifest; one that only this machine knows as this machine has it, without
    credentials.

    Raises:
        StackbuildError: the target has no conda packages.
    """
    pins = subject.pins("conda")
    if not pins:
        raise StackbuildError(
            f"no conda packages: {subject.target}", next_step="stackbuild export --format requirements"
        )
    channels = channels_of(subject.manifest, os.environ)
    lines = [f"# {subject.target}", f"# platform: {subdir(subject.target.platform)}", "@EXPLICIT"]
    lines += [f"{channels.shown(pin.source)}/{pin.filename}#{pin.field('md5')}" for pin in pins]
    return "\n".join(lines) + "\n"
