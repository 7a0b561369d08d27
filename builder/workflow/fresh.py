"""The hot path of a build: did anything change at all?

It parses neither manifest nor locks: a table in the store, named by the digest of everything that a plan is made
from, says which plan key each target has. Nothing slow is imported here.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builder import __version__
from builder.digest import Digest, canonical
from builder.errors import StackbuildError
from builder.manifest.model import Target
from builder.platforms import NATIVE, runs
from builder.project_files import files, identity, libraries
from builder.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What a build came to: targets that were built, that stood already, and that this machine does not run."""

    fresh: tuple[Target, ...] = ()
    kept: tuple[Target, ...] = ()
    skipped: tuple[Target, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """One target in the table: its plan key, "" where it was not planned, and what its tags named (tag → digest)."""

    key: str
    tags: Mapping[str, str]


def unchanged(manifest_path: Path, store: Store, wanted: Sequence[str]) -> Built | None:
    """What a build of these targets comes to if nothing changed since the last one; None if anything did.

    A tag counts too: a build of something else, or of an earlier state, may have moved it since.
    """
    table = _table(manifest_path, store)
    if table is None:
        return None
    chosen, skipped = divide(list(table), wanted)
    if not chosen or not all(_there(store, table[target].key) for target in chosen):
        return None
    for target in chosen:
        store.used(Digest(table[target].key))
    tags = store.images.tags()
    if any(tags.get(tag) != digest for target in chosen for tag, digest in table[target].tags.items()):
        return None
    return Built(kept=tuple(chosen), skipped=tuple(skipped))


def divide(targets: Sequence[Target], wanted: Sequence[str]) -> tuple[list[Target], list[Target]]:
    """Those of the wanted targets that are built here, and those that are not.

    A target of this machine's platform is; one of another platform only if it is asked for by name and programs of
    that platform run here, as emulation is an order of magnitude slower.
    """
    chosen: list[Target] = []
    skipped: list[Target] = []
    for target in targets:
        asking = [text for text in wanted if target.matches(text)]
        if wanted and not asking:
            continue
        named = any(text.partition("@")[2] for text in asking)
        here = target.platform == NATIVE or (named and runs(target.platform))
        (chosen if here else skipped).append(target)
    return chosen, skipped


def remember(manifest_path: Path, store: Store, table: Mapping[Target, Known]) -> None:
    """Write the table that `unchanged` reads."""
    rows = {str(target): {"key": one.key, "tags": dict(one.tags)} for target, one in table.items()}
    store.write(f"tables/{inputs_digest(manifest_path).hex}", json.dumps(rows, indent=1).encode())


def inputs_digest(manifest_path: Path) -> Digest:
    """The digest of all that a plan is made from: the project's files, this program, its libraries, the platform."""
    folder = manifest_path.parent
    found = {manifest_path.name: identity(str(manifest_path)), **files(folder)}
    rows = [[os.fsencode(path).hex(), said] for path, said in found.items()]
    return Digest.of(canonical([__version__, _program_state(), libraries(), NATIVE, rows]))


def _table(manifest_path: Path, store: Store) -> dict[Target, Known] | None:
    try:
        table = json.loads((store.path / "tables" / inputs_digest(manifest_path).hex).read_bytes())
        return {Target.parse(text): Known(key=str(row["key"]), tags=dict(row["tags"])) for text, row in table.items()}
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError, StackbuildError):
        return None  # None yet, or a damaged one, which the next build writes anew.


def _program_state() -> list[Any]:
    """Names, sizes and times of our own modules, so that a developer's edit is noticed."""
    base = Path(__file__).parent.parent
    found = []
    for folder, names, modules in os.walk(base):
        names[:] = sorted(name for name in names if name != "__pycache__")
        for name in sorted(modules):
            info = os.stat(os.path.join(folder, name))
            found.append([name, info.st_size, info.st_mtime_ns])
    return found


def _there(store: Store, key: str) -> bool:
    action = store.action(Digest(key)) if key else None
    if action is None:
        return False
    result = action["result"]
    layers = (layer["digest"] for layer in result["layers"] if not layer.get("foreign"))
    names = [result["manifest"]["digest"], result["config"], *layers]
    return all(store.blob(Digest(name)).exists() for name in names)
