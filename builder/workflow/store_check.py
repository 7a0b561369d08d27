"""Look a whole store over, and remove what is damaged, so that the next build makes it anew.

Looking holds a lease, as building does. Removing needs the store alone, as `gc` does: what a build has found a moment
ago is not taken from it. What is to go is looked at again then, as it may have been made anew meanwhile.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace

from builder import image_index, keytable, unpacked
from builder.errors import StackbuildError
from builder.inspecting import Finding, Inspected, inspect
from builder.store import Store
from builder.sweeping import Entry, Room, sweep
from builder.workflow import projects, releases

_WRITTEN = {"images/oci-layout": image_index.LAYOUT, "images/index.json": image_index.EMPTY}
"""What is written anew at once, as an OCI layout is none without it; builds tag again what they find built."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a run of `store check` may do.

    Attributes:
        jobs: threads that read.
        repair: what is damaged is removed.
        dry_run: it is only said.
        wait: seconds to wait for a store that is in use.
    """

    jobs: int
    repair: bool = False
    dry_run: bool = False
    wait: float = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What a run came to.

    Attributes:
        removed: the findings that are none any more; if `dry_run`, those that would be.
    """

    looked: Inspected
    removed: tuple[Finding, ...] = ()
    dry_run: bool = False

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong, or nothing any more."""
        left = set(self.looked.findings) - (set() if self.dry_run else set(self.removed))
        return all(one.kind == "unknown" for one in left)


def check(store: Store, wish: Wish) -> Checked:
    """Look at everything in a store; if told to, remove what is damaged and what is of no use without it.

    Args:
        store: without a lease of our own.

    Raises:
        StackbuildError: something is to be removed, and the store is in use.
    """
    with store.leased():
        looked = inspect(store, wish.jobs)
        notes = (*_keys(store), *_projects(store), *_releases(store))
        looked = replace(looked, findings=tuple(sorted((*looked.findings, *notes))))
    goes = tuple(one for one in looked.findings if one.kind != "unknown" and not one.remedy)
    if not wish.repair or wish.dry_run or not goes:
        return Checked(looked=looked, removed=goes if wish.dry_run else (), dry_run=wish.dry_run)
    with ExitStack() as trash:
        with store.alone(wish.wait):
            again = (*inspect(store, wish.jobs, {one.path for one in goes}).findings, *_keys(store))
            removed = tuple(_remove(store, {*goes} & {*again}, trash))
        store.sweep()
    healed = tuple(one for one in goes if one not in again)
    return Checked(looked=looked, removed=tuple(sorted((*removed, *healed))))


def _remove(store: Store, goes: Collection[Finding], trash: ExitStack) -> Iterator[Finding]:
    """What names a thing goes before it, as when garbage is collected."""
    for one in goes:
        if one.path in _WRITTEN:
            if not one.tag:
                store.write(one.path, _WRITTEN[one.path])
            yield one
    if tags := {one.tag for one in goes if one.tag}:
        store.images.untag(tags)
    found = {one.path: one for one in goes if one.path not in _WRITTEN}
    order = ("tables", "keys", "names", "proven", "checked", "took", "actions")
    rooms = {name: list[Entry]() for name in order}
    for path in sorted(found):
        room = path.rpartition("/")[0]
        kept = room == "roots" and unpacked.in_use(store.path / path)  # A container stands on it.
        rooms.setdefault(room, []).append(Entry(store.path / path, kept))
    named = (Room(name=name, entries=tuple(entries)) for name, entries in rooms.items())
    for gone, _ in sweep(named, lambda: trash.enter_context(store.workspace())):
        yield found[gone.relative_to(store.path).as_posix()]


def _keys(store: Store) -> Iterable[Finding]:
    """Tables of plan keys, which have a seal of their own."""
    for path in sorted((store.path / "keys").glob("*")):
        with suppress(FileNotFoundError):  # Collected meanwhile.
            if keytable.loads(path.read_bytes()) is None:
                name = path.relative_to(store.path).as_posix()
                yield Finding(kind="damaged", path=name, what="its seal is broken")


def _projects(store: Store) -> Iterable[Finding]:
    """Notes of projects. One that is damaged stays: without it, `gc` would take what the project needs."""
    for path in sorted((store.path / "projects").glob("*.json")):
        try:
            projects.read(path)
        except StackbuildError as error:
            yield Finding(
                kind="damaged",
                path=path.relative_to(store.path).as_posix(),
                what="it is no note of a project",
                remedy=error.next_step,
            )


def _releases(store: Store) -> Iterable[Finding]:
    """The record of releases, which nobody could make anew."""
    try:
        releases.everything(store)
    except StackbuildError as error:
        yield Finding(
            kind="damaged", path="pushed.jsonl", what=f"it is no record: {error.where}", remedy=error.next_step
        )
