"""The projects that build into a store: each leaves word, so that `gc` knows whose locks are current.

    projects/<hex of the manifest's path>.json      the path, the project's name, and what it built last

A project whose manifest is gone may come back: a branch that is checked out, a disk that is mounted. Until its time is
over, what it built last is kept; the store's own documents say what that needs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from builder.digest import Digest, Json
from builder.errors import StackbuildError
from builder.manifest.model import Manifest
from builder.store import Store

_FOLDER = "projects"


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """One project.

    Attributes:
        manifest: where its stacks manifest is, absolute.
        name: as the manifest has it.
        built: target → plan key of the image, as it was built last.
        gone: since when the manifest is known to be gone, in UTC as RFC 3339 writes it; "" if it is there.
    """

    manifest: Path
    name: str
    built: Mapping[str, Digest] = field(default_factory=dict)
    gone: str = ""


def note(store: Store, manifest: Manifest, built: Mapping[str, Digest]) -> None:
    """Let a store know a project, and what it has just built beside what it built before."""
    path = manifest.path.absolute()
    targets = {str(target) for target in manifest.targets()}
    with store.guarded(_FOLDER):
        try:
            before = read(_place(store, path))
        except StackbuildError:
            before = None  # None yet, or a damaged one.
        kept = {one: key for one, key in before.built.items() if one in targets} if before else {}
        put(store, Known(manifest=path, name=manifest.project.name, built={**kept, **built}))


def noted(store: Store, manifest: Path) -> bool:
    """Whether a store knows the project of a manifest."""
    return _place(store, manifest.absolute()).exists()


def known(store: Store) -> tuple[Known, ...]:
    """Every project of a store, by path.

    Raises:
        StackbuildError: what one has left is damaged.
    """
    found = [read(path) for path in (store.path / _FOLDER).glob("*.json")]
    return tuple(sorted(found, key=lambda one: one.manifest))


def put(store: Store, one: Known) -> None:
    """Write what a store knows of a project, if that is news."""
    row: Json = {"manifest": str(one.manifest), "name": one.name, "built": dict(one.built), "gone": one.gone}
    data = json.dumps(row, sort_keys=True).encode()
    place = _place(store, one.manifest)
    if not place.exists() or place.read_bytes() != data:
        store.write(f"{_FOLDER}/{place.name}", data)


def drop(store: Store, one: Known) -> None:
    """Forget a project."""
    _place(store, one.manifest).unlink(missing_ok=True)


def _place(store: Store, manifest: Path) -> Path:
    return store.path / _FOLDER / f"{Digest.of(str(manifest).encode('utf-8', 'surrogateescape')).hex}.json"


def read(path: Path) -> Known:
    """Raises: StackbuildError: it is damaged."""
    try:
        row: dict[str, Any] = json.loads(path.read_bytes())
        return Known(
            manifest=Path(row["manifest"]),
            name=str(row["name"]),
            built={str(target): Digest.parse(one) for target, one in row["built"].items()},
            gone=str(row["gone"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, StackbuildError):
        raise StackbuildError(
            f"the store's note of a project is damaged: {path}",
            next_step=f"rm {path}, then build in that project's folder, which writes it anew",
        ) from None
