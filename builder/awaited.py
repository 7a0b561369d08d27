"""Targets whose locks wait for a source that is not reached everywhere, as the manifest's `awaits` says."""

from __future__ import annotations

from builder.locks import Locks
from builder.manifest import edges
from builder.manifest.model import Manifest, Target


def sources(manifest: Manifest, target: Target) -> tuple[str, ...]:
    """What the locks of a target, of its ancestors and of what they name are made from, beside what is reached
    everywhere; the root's first, each once."""
    return tuple(dict.fromkeys(one for each in edges.whole(manifest, target) for one in _own(manifest, each)))


def awaited(manifest: Manifest, locks: Locks, target: Target) -> tuple[str, ...]:
    """Those of the sources for which a target, or what it needs, has no lock yet; none where all are locked."""
    waiting = (each for each in edges.whole(manifest, target) if not locks.has(each))
    return tuple(dict.fromkeys(one for each in waiting for one in _own(manifest, each)))


def ready(manifest: Manifest, locks: Locks) -> tuple[Target, ...]:
    """Every target but those that wait, in the manifest's order."""
    return tuple(target for target in manifest.targets() if not awaited(manifest, locks, target))


def _own(manifest: Manifest, target: Target) -> list[str]:
    return [str(asked["awaits"]) for _, asked in manifest.asking(target) if "awaits" in asked]
