"""The Pythons of a foreign image: what is known of them, and that they cannot be run beside it.

To run one would need the image's layers, which a build that only adds packages must not fetch; so packages for it are
laid without bytecode, and none can be built from a source archive.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from builder.errors import StackbuildError
from builder.interpreter import Interpreter
from builder.lock import Pin
from builder.store import Store


def find(pins: Mapping[str, Pin], where: str, prefix: str) -> Interpreter:
    """The Python of that prefix.

    Args:
        pins: the image's Pythons by their prefixes.

    Raises:
        StackbuildError: it has none there.
    """
    pin = pins.get(prefix)
    if pin is None or pin.kind != "python":
        raise StackbuildError(
            f"no Python at {prefix}: {where}",
            expected=" or ".join(sorted(name for name, one in pins.items() if one.kind == "python"))
            or "a base image with a Python whose version can be told",
            next_step='python = { from = "oci", prefix = "…" }, then: stackbuild lock',
        )
    return Interpreter(kind="oci", version=pin.version, executable=pin.field("executable"), prefix=prefix, pins=())


def root(_: Store, interpreter: Interpreter, architecture: str, jobs: int, log: Path) -> Path:
    """Raises: StackbuildError: always; see above."""
    raise StackbuildError(f"the base image's Python cannot be run here: {interpreter.executable}")
