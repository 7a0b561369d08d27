"""The packages of a target as an environment file: `conda env create -f`, `micromamba create -f`.

Versions and builds are exact, but a solver runs and digests are not checked: the explicit form is the safer one. pip's
packages follow as pip's own lines.
"""

from __future__ import annotations

import os

from builder.errors import StackbuildError
from builder.exports import Scope, Subject
from builder.kinds.conda.places import channels_of

SCOPE = Scope.TARGET


def export(subject: Subject) -> str:
    """The text (YAML); packages by name.

    Raises:
        StackbuildError: the target has no conda packages.
    """
    pins = subject.pins("conda")
    if not pins:
        raise StackbuildError(
            f"no conda packages: {subject.target}", next_step="stackbuild export --format requirements"
        )
    channels = channels_of(subject.manifest, os.environ)
    asked = subject.manifest.option(subject.target, "channels")
    names = [*(map(str, asked) if isinstance(asked, tuple) else ()), *sorted({pin.source for pin in pins})]
    lines = [f"# {subject.target}", f"name: {subject.target.image}", "channels:"]
    lines += [f"  - {channels.shown(name)}" for name in dict.fromkeys(names)]
    lines += ["  - nodefaults", "dependencies:"]
    lines += [f"  - {pin.name}={pin.version}={pin.field('build')}" for pin in pins]
    if python := subject.pins("pip"):
        if all(pin.name != "pip" for pin in pins):
            lines.append("  - pip")
        lines.append("  - pip:")
        lines += [f"      - {pin.name}=={pin.version}" for pin in python]
    return "\n".join(lines) + "\n"
