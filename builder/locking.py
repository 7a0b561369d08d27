"""What the kinds' locking shares: the run, the ancestors' locks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from builder.errors import StackbuildError
from builder.lock import Lock, Pin
from builder.locks import Locks, held
from builder.manifest.model import Manifest, Target
from builder.manifest.shape import request_name
from builder.store import Store

if TYPE_CHECKING:
    from builder.net import Client

Fetch = Callable[[Sequence[Pin]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Making:
    """One run of `lock`.

    Attributes:
        keep: whether existing pins stay; False is `--upgrade`.
        upgrade: names that move, and what they force.
        toward: of these, the versions to take if possible; the others take the newest.
        require_signature: a base image of a registry must be signed, and is looked at again.
        refresh_missing: also move pins whose file nobody serves any more.
        vanished: the names of a lock's pins that no source has.
        fetch: brings pinned files into the store; sdists need it, their metadata being built.
        told: says a line to the user.
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
    toward: Mapping[str, str] = field(default_factory=dict)
    refresh_missing: bool = False
    require_signature: bool = False
    told: Callable[[str], None] = lambda _: None


def standing(
    making: Making, target: Target, wanted: Sequence[str], check: Callable[[Manifest, Target, Locks], Sequence[object]]
) -> dict[str, tuple[Lock, str]] | None:
    """The target's locks of these kinds and their texts, where they answer the manifest and nothing in them may move;
    else the user is told that they will be solved.

    To solve them again would change nothing, and is what takes the time of a run for one package.

    Args:
        check: what keeps a target's locks from answering the manifest.
    """
    if making.keep and not making.refresh_missing:
        try:
            found = {kind: lock for kind in wanted if (lock := making.locks.read(target, kind)) is not None}
            pins = [pin for lock in found.values() for pin in lock.pins]
            if (
                found
                and not any(_called(pin) & making.upgrade for pin in pins)
                and not check(making.manifest, target, making.locks)
            ):
                texts = {kind: making.locks.text(target, kind) for kind in found}
                return {kind: (lock, texts[kind]) for kind, lock in found.items()}
        except StackbuildError:
            pass  # They are damaged, or what they rest on is: whoever makes them anew says so.
    making.told(f"resolving {wanted[0]} of {target}")
    return None


def _called(pin: Pin) -> set[str]:
    """The names that may mean a pin: an npm package's is not that of its place."""
    return {pin.name, request_name(pin.name), pin.field("package")}


def inherited_locks(manifest: Manifest, locks: Locks, target: Target, kind: str) -> tuple[tuple[str, Lock], ...]:
    """The ancestors' image names and locks of that kind, root first.

    A foreign image that the family begins with comes before them all, of its own root too, as `oci:REFERENCE`; its
    pins have no file.
    """
    base = held(manifest, locks, target, kind)
    found = [base] if base is not None else []
    for one in manifest.lineage(target)[:-1]:
        if (lock := locks.read(one, kind)) is not None:
            found.append((one.image, lock))
    return tuple(found)


def relative(manifest: Manifest, path: Path) -> str:
    """The path as seen from the manifest's folder, for messages."""
    try:
        return path.relative_to(manifest.folder).as_posix()
    except ValueError:
        return str(path)
