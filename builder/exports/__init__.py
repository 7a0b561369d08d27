"""One file for each output format.

A format of `stackbuild export` has `export(subject)`, from data to text, and `SCOPE`, which says what a subject is: one
target, one image, or as much of the family as is asked for; `DIGESTS = True` if it names published images; and
`READERS`, if several programs read it, each in a way of its own. Its name is the file's, with dashes. One of
`stackbuild diff` is a file `diff_NAME.py` with `render(report)`, one of `stackbuild size` a file `size_NAME.py` with
`render(weighed)`; of `stackbuild sbom` a file `sbom_NAME.py` with `render(bill)` and its `MEDIA_TYPE`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from builder.errors import StackbuildError
from builder.lock import Pin
from builder.locks import Locks
from builder.manifest.model import Manifest, Target

Urls = Callable[[Pin], Sequence[str]]
References = Callable[[Sequence[Target]], Mapping[Target, str]]


class Scope(Enum):
    """What a format is about."""

    TARGET = "one target"
    IMAGE = "one image and variant, over all its platforms"
    FAMILY = "any number of targets, all of the family's if none is named"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is written in another format.

    What may need a network is a function, so that only formats that need it ask.

    Attributes:
        targets: in the manifest's order, each once; one at least, and as many as the format's scope allows.
        urls: where a pin's file is, best first.
        references: HOST/PATH@DIGEST of the targets' images, each over all its platforms, as they were pushed; those
            that were not are not in it, but one at least is.
        reader: the program that the text is for, one of the format's `READERS`; "" if it has none.
    """

    manifest: Manifest
    locks: Locks
    targets: tuple[Target, ...]
    urls: Urls
    references: References
    reader: str = ""

    @property
    def target(self) -> Target:
        """The target, or the first platform of the image, that a format of that scope is about."""
        return self.targets[0]

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A format of `stackbuild export`.

    Attributes:
        digests: whether it names published images.
        readers: the programs that read it, each in a way of its own; none if all read the same.
    """

    scope: Scope
    digests: bool
    readers: tuple[str, ...]
    export: Callable[[Subject], str]


def formats() -> dict[str, Format]:
    """The formats of `stackbuild export` by name, sorted."""
    found = ((path.stem.replace("_", "-"), _format(path)) for path in _files("[a-z]*"))
    return {name: one for name, one in found if one is not None}


def format_of(name: str) -> Format:
    """One of `formats`, which alone is imported.

    Raises:
        StackbuildError: there is no such format.
    """
    for path in _files("[a-z]*"):
        if path.stem.replace("_", "-") == name and (found := _format(path)) is not None:
            return found
    raise StackbuildError(f"no such format: {name}", expected=f"one of {', '.join(formats())}")


def _files(pattern: str) -> list[Path]:
    return sorted(Path(__file__).parent.glob(f"{pattern}.py"))


def _format(path: Path) -> Format | None:
    module = import_module(f"{__name__}.{path.stem}")
    if not hasattr(module, "export"):
        return None
    return Format(
        scope=module.SCOPE,
        digests=getattr(module, "DIGESTS", False),
        readers=getattr(module, "READERS", ()),
        export=module.export,
    )


def renderer(command: str, name: str) -> Callable[[Any], str]:
    """What writes the result of a command in a format: `render` of `COMMAND_NAME.py`, which alone is imported.

    Raises:
        StackbuildError: there is no such format.
    """
    found: Callable[[Any], str] = _rendering(command, name).render
    return found


def media_type(command: str, name: str) -> str:
    """What a text of that format is, where it is attached to an image.

    Raises:
        StackbuildError: there is no such format.
    """
    return str(_rendering(command, name).MEDIA_TYPE)


def _rendering(command: str, name: str) -> ModuleType:
    known = [path.stem.partition("_")[2] for path in _files(f"{command}_*")]
    if name not in known:
        raise StackbuildError(f"no such format: {name}", expected=f"one of {', '.join(known)}")
    return import_module(f"{__name__}.{command}_{name}")
