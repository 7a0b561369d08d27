"""One file for each output format.

A format of `stackbuild export` has `export(subject)`, from data to text; its name is the file's, with dashes. One of
`stackbuild diff` is a file `diff_NAME.py` with `render(report)`, one of `stackbuild size` a file `size_NAME.py` with
`render(weighed)`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from builder.errors import StackbuildError
from builder.lock import Pin
from builder.locks import Locks
from builder.manifest.model import Manifest, Target

Urls = Callable[[Pin], Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is written in another format: all that one target has, inherited and its own.

    Attributes:
        urls: where a pin's file is, best first; only formats that need it ask, as it may need a network.
    """

    manifest: Manifest
    locks: Locks
    target: Target
    urls: Urls

    def pins(self, kind: str) -> tuple[Pin, ...]:
        """The target's pins of a kind, sorted by name. What lies in a base image has no file, so it is left out.

        Raises:
            StackbuildError: the target's image asks for such packages, and there is no lock.
        """
        from builder.locking import inherited_locks  # Imports the HTTP client, which most formats need not.

        own = self.locks.read(self.target, kind)
        if own is None and self.manifest.ask(self.target, kind):
            raise StackbuildError(
                f"lock is missing: {self.target}, {kind}",
                where=str(self.locks.path(self.target, kind)),
                next_step=f"stackbuild lock {self.target.image}",
            )
        inherited = [lock for _, lock in inherited_locks(self.manifest, self.locks, self.target, kind)]
        found = {pin.name: pin for lock in (*inherited, *([own] if own else [])) for pin in lock.pins if pin.filename}
        return tuple(found[name] for name in sorted(found))


def formats() -> dict[str, Callable[[Subject], str]]:
    """The formats of `stackbuild export` by name, sorted."""
    found = {}
    for path in sorted(Path(__file__).parent.glob("[a-z]*.py")):
        module = import_module(f"{__name__}.{path.stem}")
        if hasattr(module, "export"):
            found[path.stem.replace("_", "-")] = module.export
    return found


def renderer(command: str, name: str) -> Callable[[Any], str]:
    """What writes the result of a command in a format: `render` of `COMMAND_NAME.py`, which alone is imported.

    Raises:
        StackbuildError: there is no such format.
    """
    known = sorted(path.stem.partition("_")[2] for path in Path(__file__).parent.glob(f"{command}_*.py"))
    if name not in known:
        raise StackbuildError(f"no such format: {name}", expected=f"one of {', '.join(known)}")
    found: Callable[[Any], str] = import_module(f"{__name__}.{command}_{name}").render
    return found
