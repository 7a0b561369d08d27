"""Garbage collection of the local store: mark what is needed, sweep the rest.

Nobody else may use the store meanwhile, since whoever does may find a thing just before it is removed: an old result
that a new key leads to, a blob that is there already. So it is the whole store that is locked, for as long as it takes
to plan every project and to unlink files: seconds. Emptying folders, the slow part, comes after.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from builder import evicting, weighing
from builder.digest import Digest
from builder.errors import InUse
from builder.marking import Marks, Roots, mark
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
        limit: bytes that what stays should not exceed; None for none.
    """

    patience: Patience
    dry_run: bool = False
    grace: float = DAY
    wait: float = 0
    limit: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What a run came to: of each room, and what each project counted for."""

    rooms: tuple[Weight, ...]
    projects: tuple[tuple[Path, str], ...]

    @property
    def kept_bytes(self) -> int:
        """What stays, which may be more than the limit."""
        return sum(one.kept_bytes for one in self.rooms)


def collect(store: Store, here: Path | None, wish: Wish) -> Collected:
    """Remove from a store what neither a tag, nor a release, nor a project's locks need; then, if what stays is larger
    than the limit, what was used least recently (`evicting`).

    A store of no project, as that of a worker, is only brought below the limit.

    Args:
        store: without a lease of our own.
        here: a manifest that counts even if it never built into this store.

    Raises:
        Problems: of projects, it cannot be told what they need.
        StackbuildError: the store is in use; nobody seems to use it; a part of it is damaged that says what is needed.
    """
    if wish.dry_run:
        with store.leased():
            who = _counted(store, here, wish)
            *_, (found, _) = _judged(store, who, wish)
            return _said(who, weighing.weights(found, weighing.files(found), {}))
    with ExitStack() as trash:
        with store.alone(wish.wait):
            who = _counted(store, here, wish)
            moved: dict[Path, Path] = {}
            sizes: dict[Path, int] = {}
            # On a full disk there is room for a folder, for a note, and for an index, once files are gone.
            for found, untagged in _judged(store, who, wish):
                if untagged:
                    store.images.untag(untagged)
                sizes |= weighing.files(found)
                swept = sweep(found, lambda: trash.enter_context(store.workspace()))
                moved |= {path: place for path, place in swept if place is not None}
            for one in who:
                _remember(store, one)
        store.sweep()
        return _said(who, weighing.weights(found, sizes, moved))


def exceeds(store: Store, limit: int) -> bool:
    """Whether a store holds more than so many bytes."""
    with store.leased():
        return evicting.size((*rooms(store, Marks(), _ALL), evicting.tools(store))) > limit


def shrink(store: Store, limit: int) -> Collected | None:
    """Bring the store of a worker, or of a machine that runs CI, below so many bytes; None if it is in use."""
    try:
        return collect(store, None, Wish(patience=Patience(now=datetime.now(UTC)), limit=limit))
    except InUse:
        return None


def _counted(store: Store, here: Path | None, wish: Wish) -> tuple[Counted, ...]:
    if wish.limit is not None and not projects.known(store):
        return ()
    return counted(store, here, wish.patience)


def _judged(store: Store, who: Sequence[Counted], wish: Wish) -> Iterator[tuple[tuple[Room, ...], frozenset[str]]]:
    """What stays and what goes, and what has no name any more then: without the limit, with caches gone, with it."""
    roots, ages = _needed(store, who, wish)
    found = rooms(store, mark(store, roots, _young(store, ages)), ages)
    yield found, frozenset()
    if wish.limit is None:
        return
    last = Roots()
    for one in who:
        last |= Roots(plans=frozenset(one.known.built.values())) if one.state in _CURRENT else Roots()
    ranks = evicting.Ranks(store, mark(store, last, ()), roots.images)
    found = (evicting.tools(store), *found)
    for caches in (True, False):
        left = evicting.evict(ranks, found, wish.limit, caches=caches)
        yield left, frozenset() if caches else ranks.untagged(found, left)
        found = left


_ALL = Ages(young=-math.inf, caches=-math.inf)
"""Nothing is garbage."""
_CURRENT = frozenset({"current", "as built"})
"""Projects that are there."""


def _needed(store: Store, who: Sequence[Counted], wish: Wish) -> tuple[Roots, Ages]:
    if not who and wish.limit is not None:
        return named(store, who, wish.patience), _ALL
    days = [one.retention.days for one in who] if wish.patience.days is None else [wish.patience.days]
    now = wish.patience.now.timestamp()
    ages = Ages(young=now - wish.grace, caches=now - max(wish.grace, max(days, default=0) * DAY))
    roots = named(store, who, wish.patience)
    for one in who:
        roots |= one.roots
    return roots, ages


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
