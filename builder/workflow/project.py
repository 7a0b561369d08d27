"""A project: the folder with a stacks manifest, its locks, and the store it builds into."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from builder.awaited import awaited
from builder.errors import StackbuildError
from builder.locks import Locks
from builder.manifest.model import Manifest, Target
from builder.manifest.read import read
from builder.store import Store, default_path

MANIFEST = "stacks.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """What every workflow starts from."""

    manifest: Manifest
    locks: Locks
    store: Store


def find_manifest(start: Path) -> Path:
    """`stacks.toml` in the folder or the nearest above it.

    Raises:
        StackbuildError: there is none.
    """
    for folder in (start, *start.parents):
        if (folder / MANIFEST).is_file():
            return folder / MANIFEST
    raise StackbuildError(
        f"no {MANIFEST} here",
        where=f"looked in {start} and above",
        next_step="stackbuild init, or stackbuild -C FOLDER",
    )


def open_store(*, held: bool = True) -> Store:
    """The store that the environment names.

    Args:
        held: whether to keep `gc` from it, for as long as the object lives.
    """
    store = Store.open(default_path(os.environ))
    if held:
        store.hold()
    return store


def open_project(start: Path) -> Project:
    """Read the project that a folder belongs to.

    Raises:
        Problems: the manifest is wrong; everything that is wrong with it is told.
    """
    path = find_manifest(start)
    return Project(manifest=read(path), locks=Locks(path.parent / "locks"), store=open_store())


def select(manifest: Manifest, wanted: Sequence[str]) -> tuple[Target, ...]:
    """The targets that texts such as `jupyter`, `jupyter:cuda`, `jupyter@linux/arm64` mean; all for none.

    A part left out means all. In the manifest's order, each once.

    Raises:
        StackbuildError: a text names no target.
    """
    targets = tuple(manifest.targets())
    if not wanted:
        return targets
    found: set[Target] = set()
    for text in wanted:
        matching = [target for target in targets if target.matches(text)]
        if not matching:
            raise _no_target(manifest, targets, text)
        found.update(matching)
    return tuple(target for target in targets if target in found)


def locked(project: Project, wanted: Sequence[str]) -> tuple[Target, ...]:
    """Those of the targets that texts mean whose locks do not wait for a source; see `awaited.py`.

    Raises:
        StackbuildError: a text names no target, or none but such as wait.
    """
    found = select(project.manifest, wanted)
    waiting = awaited(project.manifest, project.locks, *found)
    for text in wanted:
        meant = [one for one in found if one.matches(text)]
        if all(one in waiting for one in meant):
            raise StackbuildError(
                f"not locked: {', '.join(map(str, meant))}",
                expected="a lock, made where its sources are reached: " + ", ".join(waiting[meant[0]]),
                next_step=f"there: stackbuild lock --awaited {text}",
            )
    return tuple(one for one in found if one not in waiting)


def _no_target(manifest: Manifest, targets: Iterable[Target], text: str) -> StackbuildError:
    known = [*manifest.images, *(str(target) for target in targets)]
    close = get_close_matches(text, known, n=1)
    return StackbuildError(
        f"no such target: {text}",
        expected=f"IMAGE[:VARIANT][@PLATFORM], images are {', '.join(manifest.images)}",
        next_step=f'did you mean "{close[0]}"?' if close else "stackbuild status",
    )
