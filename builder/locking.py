"""What the kinds' locking shares: the run, the ancestors' locks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from builder.lock import Lock, Pin
from builder.locks import Locks
from builder.manifest.model import Manifest, Target
from builder.net import Client
from builder.store import Store

Fetch = Callable[[Sequence[Pin]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Making:
    """One run of `lock`.

    Attributes:
        keep: whether existing pins stay; False is `--upgrade`.
        upgrade: names that move, and what they force.
        refresh_missing: also move pins whose file nobody serves any more.
        vanished: the names of a lock's pins that no source has.
        fetch: brings pinned files into the store; sdists need it, their metadata being built.
    """

    manifest: Manifest
    locks: Locks
    store: Store
    client: Client
    fetch: Fetch
    vanished: Callable[[Lock], frozenset[str]]
    jobs: int
    keep: bool = True
    upgrade: frozenset[str] = frozenset()
    refresh_missing: bool = False


def inherited_locks(manifest: Manifest, locks: Locks, target: Target, kind: str) -> tuple[tuple[str, Lock], ...]:
    """The ancestors' image names and locks of that kind, root first."""
    found: list[tuple[str, Lock]] = []
    parent = manifest.parent(target)
    while parent is not None:
        if (lock := locks.read(parent, kind)) is not None:
            found.append((parent.image, lock))
        parent = manifest.parent(parent)
    return tuple(reversed(found))


def relative(manifest: Manifest, path: Path) -> str:
    """The path as seen from the manifest's folder, for messages."""
    try:
        return path.relative_to(manifest.folder).as_posix()
    except ValueError:
        return str(path)
