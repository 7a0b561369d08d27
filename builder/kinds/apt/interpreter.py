"""The Python that apt pins bring, and the C library that every other one runs on: closures of some 20 packages."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from builder.closure import closure
from builder.digest import Digest
from builder.errors import StackbuildError
from builder.interpreter import Interpreter
from builder.kinds.apt.relation import names
from builder.lock import Pin
from builder.store import Store

_NAME = re.compile(r"python(3\.\d+)-minimal")


def find(pins: Mapping[str, Pin], where: str, prefix: str = "") -> Interpreter:
    """The interpreter among apt pins, an image's own and inherited; Debian's prefix is always `/usr`.

    Raises:
        StackbuildError: none is there.
    """
    for name in sorted(pins):
        if match := _NAME.fullmatch(name):
            version = pins[name].version.rpartition(":")[2]
            upstream = re.match(r"\d+\.\d+\.\d+", version)
            if upstream and f"python{match[1]}" in pins:
                return Interpreter(
                    kind="apt",
                    version=upstream[0],
                    executable=f"/usr/bin/python{match[1]}",
                    prefix="/usr",
                    pins=_closure(pins, f"python{match[1]}"),
                )
    raise StackbuildError(
        f"no Python for pip: {where}",
        expected="python3 among the apt packages of the image or an ancestor",
        next_step='add "python3" to its apt list, then: stackbuild lock',
    )


def library(pins: Mapping[str, Pin]) -> tuple[Pin, ...]:
    """The packages of the C library among apt pins, sorted by name: what a Python from elsewhere is loaded with.

    None where no apt pins have it, or only a foreign image's, which have no files.
    """
    return _closure({name: pin for name, pin in pins.items() if pin.filename}, "libc6")


def _closure(pins: Mapping[str, Pin], name: str) -> tuple[Pin, ...]:
    """A package and all that its Depends and Pre-Depends name, of alternatives those that are pinned."""

    def needs(one: str) -> list[str]:
        return [found for found in names(pins[one].field("Depends"), pins[one].field("Pre-Depends")) if found in pins]

    return tuple(pins[one] for one in sorted(closure(name, needs))) if name in pins else ()


def root(store: Store, interpreter: Interpreter, architecture: str, jobs: int, log: Path) -> Path:
    """An unpacked root that holds the interpreter and what it needs, nothing more.

    Raises:
        HostileInput: a package in the store has changed.
        StackbuildError: a package cannot be unpacked.
    """
    name = f"interpreter-{Digest(interpreter.root_key).hex}"
    return unpack(store, interpreter.pins, name, architecture, jobs, log)


def unpack(store: Store, pins: Sequence[Pin], name: str, architecture: str, jobs: int, log: Path) -> Path:
    """These packages unpacked beside any root, unconfigured, as the folder `roots/<name>` of the store.

    Raises:
        HostileInput: a package in the store has changed.
        StackbuildError: a package cannot be unpacked.
    """

    # Whoever only locks needs to know the interpreter, on hosts that have no sandbox too.
    from builder import unpacked
    from builder.kinds.apt.inside import inside
    from builder.sandbox import Command, Root, run

    def fill(upper: Path, workspace: Path) -> None:
        debs = inside(store, pins, workspace, jobs)
        order = {"debs": list(debs.paths.values()), "architecture": architecture, "jobs": jobs}
        command = Command(argv=(json.dumps(order),), program="builder.kinds.apt.extract", binds=debs.binds)
        code = run(Root(workspace=workspace, upper=upper), command, log=log)
        if code:
            names = ", ".join(pin.name for pin in pins[:5])
            raise StackbuildError(f"cannot unpack {names}", where=f"log: {log}")

    return unpacked.folder(store, name, fill)
