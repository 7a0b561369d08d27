"""Resolve the manifest into locks; check that they answer it."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from builder import cells, together
from builder.errors import Problems, StackbuildError, raise_all
from builder.fetching import Fetcher
from builder.kinds import kinds, submodule
from builder.kinds.oci import signed
from builder.lock import Lock, Pin
from builder.locking import Making, inherited_locks, relative
from builder.locks import formats
from builder.manifest import edges
from builder.manifest.model import Target
from builder.net import Client
from builder.offline import refuse
from builder.platforms import NATIVE
from builder.replacing import replace as replace_files
from builder.workflow.project import Project

Told = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a run of `lock` may move; by default nothing that need not.

    Attributes:
        upgrade_all: every pin may move.
        upgrade: these names may, and what they force,
        within: in these targets; None for all.
        toward: of names in `upgrade`, the versions that they are to have if they can; the others take the newest.
        refresh_missing: pins may whose file no source has any more.
        require_signature: base images of registries must be signed, those too that stay.
    """

    upgrade_all: bool = False
    upgrade: frozenset[str] = frozenset()
    within: frozenset[Target] | None = None
    toward: Mapping[str, str] = field(default_factory=dict)
    refresh_missing: bool = False
    require_signature: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One lock file that was written. `moved` holds (name, old version or "", new version or ""), by name."""

    target: Target
    kind: str
    path: str
    moved: tuple[tuple[str, str, str], ...]
    pins: int


def lock(project: Project, targets: Sequence[Target], wish: Wish, told: Told) -> tuple[Change, ...]:
    """Resolve these targets and their ancestors, and write the locks that changed.

    Nothing is written unless everything was solved.

    Raises:
        Problems: targets without a solution.
        Unreachable: this run may use no network.
    """
    return solve(project, targets, wish, told).write()


def solve(project: Project, targets: Sequence[Target], wish: Wish, told: Told) -> Solution:
    """Resolve these targets and their ancestors, and write nothing.

    Raises:
        Problems, Unreachable: as `lock`.
    """
    refuse(os.environ, "locks are made of what indexes, archives and registries say today", "stackbuild lock --check")
    client = Client()
    fetch = Fetcher(project.manifest, project.store, client)
    making = Making(
        manifest=project.manifest,
        locks=project.locks,
        store=project.store,
        client=client,
        fetch=fetch,
        vanished=lambda old: _vanished(fetch, client, old),
        jobs=os.cpu_count() or 1,
        keep=not wish.upgrade_all,
        upgrade=together.widened(project.manifest, wish.upgrade),
        toward=wish.toward,
        refresh_missing=wish.refresh_missing,
        require_signature=wish.require_signature,
        told=told,
    )
    before = {
        (target, kind): project.locks.read(target, kind) for target in project.manifest.targets() for kind in formats()
    }
    asked = _with_ancestors(project, targets)
    solved = _solve(making, asked, wish.within)
    raise_all([*_torn(making, before, solved), *_unlike(project, asked)])
    return Solution(project=project, solved=solved, before={key: old for key, old in before.items() if key[0] in asked})


def check(project: Project, targets: Sequence[Target], *, require_signature: bool = False) -> list[StackbuildError]:
    """What keeps the locks of these targets, and of what they name, from answering the manifest; needs no network.

    Args:
        require_signature: whether every base image of a registry must be said to be signed.
    """
    found: list[StackbuildError] = []
    named = [one for target in targets for one in edges.named(project.manifest, target)]
    wanted = tuple(dict.fromkeys((*targets, *named)))
    if require_signature:
        unasked = (signed.unasked(project.manifest, one) for one in wanted)
        found += [error for error in unasked if error is not None]
    for target in wanted:
        for module in _lockers():
            try:
                found += module.check(project.manifest, target, project.locks)
            except StackbuildError as error:
                found.append(error)
    if not found:
        found += _unlike(project, targets)
    unique = {str(error): error for error in found}
    return list(unique.values())


def _lockers() -> list[ModuleType]:
    """The locking modules of the kinds that pin, in the order in which an image applies them."""
    found = (submodule(name, "locking") for name in kinds())
    return [module for module in found if module is not None]


def _with_ancestors(project: Project, targets: Sequence[Target]) -> list[Target]:
    """The targets, their ancestors and what they name, parents first, and the same for this machine's platform: sdists
    build on it."""
    wanted: set[Target] = set()
    for target in targets:
        for one in edges.whole(project.manifest, target):
            wanted |= {one, replace(one, platform=NATIVE)}
    return [target for target in project.manifest.targets() if target in wanted]


_Solved = Mapping[tuple[Target, str], tuple[Lock, str]]


def _solve(making: Making, targets: Sequence[Target], within: Collection[Target] | None) -> _Solved:
    """Kind by kind, since pip reads the Python that apt pinned; in each, all targets at once, parents first."""
    solved: dict[tuple[Target, str], tuple[Lock, str]] = {}
    still = replace(making, upgrade=frozenset(), toward={})
    for module in _lockers():
        shared = module.prepare(making)
        running: dict[Target, Future[dict[str, tuple[Lock, str]]]] = {}
        with ThreadPoolExecutor(max(1, len(targets))) as threads:
            for target in targets:
                parent = making.manifest.parent(target)
                above = running.get(parent) if parent else None
                running[target] = threads.submit(
                    _one, module, making if within is None or target in within else still, target, shared, above
                )
        problems = cells.tables(_problems(running.values()), [str(target) for target in targets])
        raise_all(problems)
        for target, future in running.items():
            solved.update({(target, kind): one for kind, one in future.result().items()})
    return solved


def _one(
    module: ModuleType, making: Making, target: Target, shared: Any, above: Future[Any] | None
) -> dict[str, tuple[Lock, str]]:
    if above is not None and above.exception() is not None:
        return {}  # The parent's own error says it all.
    found: dict[str, tuple[Lock, str]] = module.make(making, target, shared)
    for kind, (made, _) in found.items():
        making.locks.put(target, kind, made)
    return found


def _torn(
    making: Making, before: Mapping[tuple[Target, str], Lock | None], solved: _Solved
) -> Iterator[StackbuildError]:
    """Sets that move as one and did not, unless every pin may move."""
    for target in dict.fromkeys(one for one, _ in solved) if making.keep else ():
        was = {kind: before.get((target, kind)) for kind in formats()}
        now = {kind: solved[target, kind][0] for kind in formats() if (target, kind) in solved}
        yield from together.problems(making.manifest, target, was, now, making.upgrade)


def _unlike(project: Project, targets: Sequence[Target]) -> Iterator[StackbuildError]:
    """Sets of one release that are of several."""
    for target in targets:
        yield from together.unlike(project.manifest, target, _pins(project, target))


def _pins(project: Project, target: Target) -> Iterator[Pin]:
    """What a target has, of all kinds, its ancestors' first."""
    for module in _lockers():
        above = inherited_locks(project.manifest, project.locks, target, module.KIND)
        own = project.locks.read(target, module.KIND)
        for lock in [*(one for _, one in above), *([own] if own else [])]:
            yield from lock.pins


def _problems(futures: Any) -> list[StackbuildError]:
    found: dict[str, StackbuildError] = {}
    for future in futures:
        error = future.exception()
        if isinstance(error, Problems):
            found.update({str(one): one for one in error.problems})
        elif isinstance(error, StackbuildError):
            found[str(error)] = error
        elif error is not None:
            raise error
    return list(found.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """Locks that answer a manifest, and were not written.

    Attributes:
        solved: the lock of each target and kind, with its text.
        before: what there was of the targets that were solved; None where there was no file.
    """

    project: Project
    solved: _Solved
    before: Mapping[tuple[Target, str], Lock | None]

    def changes(self) -> Iterator[Change]:
        """What differs from the files there; what a target no longer needs goes."""
        for (target, kind), old in self.before.items():
            path = self.project.locks.path(target, kind)
            new = self.solved.get((target, kind))
            if new is None:
                if old is not None:
                    yield _change(self.project, target, kind, path, old, None)
            elif old is None or self.project.locks.text(target, kind) != new[1]:
                yield _change(self.project, target, kind, path, old, new[0])

    def write(self) -> tuple[Change, ...]:
        """Let the files be so, and say which were not."""
        changes = tuple(self.changes())
        replace_files(self.texts(changes))
        return changes

    def texts(self, changes: Iterable[Change]) -> dict[Path, str | None]:
        """What the files of these changes are to hold; None for those that go."""
        keys = [(change.target, change.kind) for change in changes]
        solved = {key: self.solved[key][1] if key in self.solved else None for key in keys}
        return {self.project.locks.path(*key): text for key, text in solved.items()}


def _change(project: Project, target: Target, kind: str, path: Path, old: Lock | None, new: Lock | None) -> Change:
    was = {pin.name: pin.version for pin in old.pins} if old else {}
    now = {pin.name: pin.version for pin in new.pins} if new else {}
    moved = tuple(
        (name, was.get(name, ""), now.get(name, ""))
        for name in sorted(was.keys() | now.keys())
        if was.get(name) != now.get(name)
    )
    return Change(target=target, kind=kind, path=relative(project.manifest, path), moved=moved, pins=len(now))


def _vanished(fetch: Fetcher, client: Client, old: Lock) -> frozenset[str]:
    """The names of pins that neither the store nor any source has."""

    def gone(name: str) -> str | None:
        pin = old.pin(name)
        assert pin is not None
        for url in fetch.urls(pin):
            try:
                if client.size(url) == pin.size:
                    return None
            except StackbuildError:
                continue
        return name

    return frozenset(name for name in client.each(gone, [pin.name for pin in fetch.missing(old.pins)]) if name)
