"""The kinds: package ecosystems and other sources of layers, one file or folder each, found by its name.

Every kind says what it adds to the stacks manifest, in constants that cost nothing to import, so its module
(of a folder, the `__init__.py`) imports nothing heavy at its top:

    PLACE   where it stands in the fixed order inside an image; unique
    KEYS    the keys it adds to an image's table: JSON Schema fragments by key
    SHARED  those of them that may stand in `[sets.NAME]` and below `on.VARIANT` too
    EDGES   those of them that are lists of tables which name another image by its digest, as `image`
    LOCKS   if it pins: what kinds of lock it writes, and the end of their file names
    reads(asked)    if it reads files of the project beside its locks: which ones, of a table of requests

A new kind is one new file in this folder; one that outgrows it becomes a folder, whose modules are looked for by name:

    lockfile.loads(text, path)                      a lock's text → Lock
    locking.KIND, prepare, make, check              requests → pins (see `workflow/lock.py`)
    places.finder(manifest, client, environ)        pin → the URLs of its file
    build.plan(site), perform(action, …)            pins → actions → layers
    build.PACKAGES, space(action), effort(action)   which packages an action lays, how much disk and time that takes
    build.SANDBOXED, FROM_LISTINGS                  which of its actions run programs; read only listings
    build.expected(action)                          the layers it will leave, if not one of its pins or files
    build.defaults(site)                            what a foreign root's config says, for a kind that brings one
    requires.requires(locks), asked(lock)           which pins need which, and which the request is about
    component.components(subject), WANTED           what a bill of materials says of it (see `bill.py`)
    component.unlisted(subject)                     what it brought that no bill can list, as sentences
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

from builder.manifest.shape import Schema


@cache
def kinds() -> dict[str, ModuleType]:
    """The kinds by name, in the order in which an image applies them."""
    names = (
        path.stem
        for path in Path(__file__).parent.iterdir()
        if not path.name.startswith("_") and (path.suffix == ".py" or (path / "__init__.py").is_file())
    )
    found = {name: import_module(f"{__name__}.{name}") for name in names}
    return dict(sorted(found.items(), key=lambda item: int(item[1].PLACE)))


@cache
def submodule(kind: str, name: str) -> ModuleType | None:
    """`kinds/<kind>/<name>.py`, for a kind that is a folder and has that file."""
    folder = Path(__file__).parent / kind
    return import_module(f"{__name__}.{kind}.{name}") if (folder / f"{name}.py").is_file() else None


def keys(*, shared: bool = False) -> dict[str, Schema]:
    """What the kinds add to an image's table, or only what of it sets may have: fragments by key."""
    return {
        key: fragment
        for kind in kinds().values()
        for key, fragment in kind.KEYS.items()
        if not shared or key in kind.SHARED
    }
