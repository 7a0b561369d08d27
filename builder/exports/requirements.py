"""The Python packages of a target, its ancestors' too, for `pip install -r` and `uv pip install -r`.

With `--require-hashes`, which the digests switch on, both install just these files. `--no-deps` is right as well: the
list is whole.
"""

from __future__ import annotations

from builder.errors import StackbuildError
from builder.exports import Scope, Subject
from builder.manifest.settings import PYPI

SCOPE = Scope.TARGET


def export(subject: Subject) -> str:
    """The text; packages by name.

    A package of another index than the default one says so in a comment: pip can name no index for one package.

    Raises:
        StackbuildError: the target has no Python packages of pip.
    """
    pins = subject.pins("pip")
    if not pins:
        raise StackbuildError(
            f"no pip packages: {subject.target}", next_step="stackbuild export --format conda-explicit"
        )
    lines = [f"# {subject.target}"]
    for pin in pins:
        if pin.source not in {"", PYPI}:
            lines.append(f"# from the index {pin.source}")
        lines += [f"{pin.name}=={pin.version} \\", f"    --hash={pin.digest}"]
    return "\n".join(lines) + "\n"
