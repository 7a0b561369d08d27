"""Targets whose locks wait for a source that is not reached everywhere, as the manifest's `awaits` says."""

from __future__ import annotations

from typing import Protocol

from builder.manifest import edges
from builder.manifest.model import Manifest, Target


class HasLocks(Protocol):
    """What knows whether a target has a lock of any kind: `Locks`, or a list of files."""

    def has(self, target: Target, /) -> bool: ...


def sources(manifest: Manifest, target: Target) -> tuple[str, ...]:
    """What the locks of a target, of its ancestors and of what they name are made from, beside what is reached
    everywhere; the root's first, each once."""
    return tuple(dict.fromkeys(one for each in edges.whole(manifest, target) for one in _own(manifest, each)))


def awaited(manifest: Manifest, locks: HasLocks, *targets: Target) -> dict[Target, tuple[str, ...]]:
    """Those of the targets that wait, with the sources for which they, or what they need, have no lock yet."""
    waiting: dict[Target, tuple[str, ...]] = {}
    for one in edges.whole(manifest, *targets):
        parent = manifest.parent(one)
        needed = (*((parent,) if parent else ()), *edges.named(manifest, one))
        found = [source for each in needed for source in waiting.get(each, ())]
        found += [] if locks.has(one) else _own(manifest, one)
        if found:
            waiting[one] = tuple(dict.fromkeys(found))
    return {one: waiting[one] for one in targets if one in waiting}


def ready(manifest: Manifest, locks: HasLocks) -> tuple[Target, ...]:
    """Every target but those that wait, in the manifest's order."""
    targets = tuple(manifest.targets())
    waiting = awaited(manifest, locks, *targets)
    return tuple(target for target in targets if target not in waiting)


def _own(manifest: Manifest, target: Target) -> list[str]:
    return [str(asked["awaits"]) for _, asked in manifest.asking(target) if "awaits" in asked]
