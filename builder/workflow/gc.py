"""Garbage collection of the local store: mark what is needed, sweep the rest.

Nobody else may use the store meanwhile, since whoever does may find a thing just before it is removed: an old result
that a new key leads to, a blob that is there already. So it is the whole store that is locked, for as long as it takes
to plan every project and to unlink files: seconds. Emptying folders, the slow part, comes after.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from builder import weighing
from builder.digest import Digest
from builder.marking import mark
from builder.store import Store
from builder.sweeping import Ages, Room, rooms, sweep, time_of
from builder.weighing import Weight
from builder.workflow import projects
from builder.workflow.roots import Counted, Patience, counted, named

DAY = 86400


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a run of `gc` may do.

    Attributes:
        dry_run: nothing is changed, and all is said.
        grace: what is younger than so many seconds is not judged.
        wait: seconds to wait for a store that is in use.
    """

    patience: Patience
    dry_run: bool = False
    grace: float = DAY
    wait: float = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What a run came to: of each room, and what each project counted for."""

    rooms: tuple[Weight, ...]
    projects: tuple[tuple[Path, str], ...]


def collect(store: Store, here: Path | None, wish: Wish) -> Collected:
    """Remove from a store what neither a tag, nor a release, nor a project's locks need.

    Args:
        store: without a lease of our own.
        here: a manifest that counts even if it never built into this store.

    Raises:
        Problems: of projects, it cannot be told what they need.
        StackbuildError: the store is in use; nobody seems to use it; a part of it is damaged that says what is needed.
    """
    if wish.dry_run:
        with store.leased():
            who = counted(store, here, wish.patience)
            found = _judged(store, who, wish)
            return _said(who, weighing.weights(found, weighing.files(found), {}))
    with ExitStack() as trash:
        with store.alone(wish.wait):
            who = counted(store, here, wish.patience)
            found = _judged(store, who, wish)
            sizes = weighing.files(found)
            # On a full disk there is room for a folder, and for a note, once files are gone.
            swept = sweep(found, lambda: trash.enter_context(store.workspace()))
            moved = {path: place for path, place in swept if place is not None}
            for one in who:
                _remember(store, one)
        store.sweep()
        return _said(who, weighing.weights(found, sizes, moved))


def _judged(store: Store, who: Sequence[Counted], wish: Wish) -> tuple[Room, ...]:
    days = [one.retention.days for one in who] if wish.patience.days is None else [wish.patience.days]
    now = wish.patience.now.timestamp()
    ages = Ages(young=now - wish.grace, caches=now - max(wish.grace, max(days, default=0) * DAY))
    roots = named(store, who, wish.patience)
    for one in who:
        roots |= one.roots
    return rooms(store, mark(store, roots, _young(store, ages)), ages)


def _young(store: Store, ages: Ages) -> list[Digest]:
    """The keys of actions that are too new to be judged."""
    paths = (store.path / "actions").glob("*.json")
    return [Digest(f"sha256:{path.stem}") for path in paths if time_of(path) > ages.young]


def _remember(store: Store, one: Counted) -> None:
    """Note since when a project is gone, or that it is back, or forget it."""
    if one.state == "forgotten":
        projects.drop(store, one.known)
    elif one.known.name:
        projects.put(store, one.known)


def _said(who: Sequence[Counted], found: tuple[Weight, ...]) -> Collected:
    return Collected(rooms=found, projects=tuple((one.known.manifest, one.state) for one in who))
