"""A remote cache: results of actions and the files they name, shared by machines through a repository of a registry.

What an entry is, and which count, `entry.py` says. A cache never breaks a build: what cannot be had from it is built,
and said.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from threading import Lock as Mutex
from typing import Any

from builder import entry, exchange
from builder.action import Action
from builder.digest import Digest
from builder.entry import NONSENSE, Entry, Trust
from builder.errors import HostileInput, StackbuildError, Unreachable
from builder.exchange import File
from builder.net import Client
from builder.plan import Plan, files_of, intact, path_of, present
from builder.signing import Signer
from builder.store import Store
from builder.transports.registry import Registry
from builder.transports.upload import Upload

Told = Callable[[str], None]


@dataclass(slots=True)
class Moved:
    """What a run took from the cache, and left there: actions, and bytes of files."""

    taken: int = 0
    taken_bytes: int = 0
    left: int = 0
    left_bytes: int = 0


@dataclass(slots=True)
class Cache:
    """One repository; used by many threads.

    Attributes:
        signer: signs what is left there; None where the registry is trusted.
        told: is given a line where something is not as it should be.
        time: when this run is, in UTC as RFC 3339 writes it: the age of what it leaves.
    """

    registry: Registry
    store: Store
    trust: Trust
    told: Told
    signer: Signer | None = None
    time: str = ""
    moved: Moved = field(default_factory=Moved)
    _mutex: Mutex = field(default_factory=Mutex)
    _down: bool = False

    @property
    def client(self) -> Client:
        return self.registry.client

    def again(self, time: str) -> Cache:
        """The same for another run at this time, which asks though this one was not answered."""
        return Cache(self.registry, self.store, self.trust, self.told, self.signer, time)

    def url(self, digest: Digest) -> str:
        """Where a file would be."""
        return self.registry.url(digest)

    def fill(self, plan: Plan, wanted: Iterable[Action]) -> None:
        """Take from the cache what the wanted actions came to, else what these read came to, and so on."""
        if not (self.trust.registry or self.trust.keys):
            return
        frontier, seen = list(wanted), set[Digest]()
        while frontier and not self._down:
            asked = []
            for action in frontier:
                if action.plan_key not in seen and not intact(self.store, action.plan_key):
                    asked.append(action)
                seen.add(action.plan_key)
            entries = [one for one in self.client.each(self.entry, asked) if one is not None]
            taken = self._take(entries)
            missed = [action for action in asked if action.plan_key not in taken]
            frontier = [plan.action(need) for action in missed for need in plan.needs(action.plan_key)]

    def keep(self, actions: Iterable[Action]) -> None:
        """Leave in the cache what these actions came to, with the files that they read, where it is not there yet."""
        known = [action for action in dict.fromkeys(actions) if intact(self.store, action.plan_key)]
        upload = Upload(self.registry)
        there = self._tried(lambda: self.client.each(self._there, known))
        if there is None:
            return
        new = [action for action, good in zip(known, there, strict=True) if not good]
        files = {digest: blob for action in new for digest, blob in self._files(action)}

        def bring(item: tuple[Digest, bool]) -> None:
            self._count(left_bytes=exchange.given(upload, self.store, *item))

        if self._tried(lambda: self.client.each(bring, files.items())) is not None:
            self._tried(lambda: self.client.each(lambda action: self._leave(action), new))

    def _there(self, action: Action) -> bool:
        """Whether the cache has an entry that counts, and names all that was read and is here.

        One that does not, by an old key, damaged, or of a worker that left only results, is written anew.
        """
        try:
            found = entry.judged(self.registry, self.trust, action)
        except (HostileInput, *NONSENSE):
            return False
        return found is not None and exchange.read(self.store, action).keys() <= found.sizes.keys()

    # Taking ---------------------------------------------------------------------------------------------------

    def entry(self, action: Action) -> Entry | None:
        """The entry of an action, if there is one and it counts."""
        return self._tried(lambda: entry.judged(self.registry, self.trust, action)) if not self._down else None

    def _take(self, entries: Sequence[Entry]) -> set[Digest]:
        """Fetch the files of entries, each once; the plan keys of those whose files are all here now."""
        named = {File(digest, blob, one.sizes[digest]) for one in entries for digest, blob in files_of(one.result)}
        wanted = sorted(exchange.missing(self.store, named), key=lambda file: (-file.size, file.digest))

        def fetch(file: File) -> None:
            try:
                exchange.fetch(self.registry, self.store, file)
            except (HostileInput, Unreachable) as error:
                self.told(f"cache: {error}")  # Its entry is passed over; others need not be.
            else:
                self._count(taken_bytes=file.size)

        if sum(file.size for file in wanted) > shutil.disk_usage(self.store.path).free:
            self.told("cache: there is too little room on the disk for what it has")
            return set()
        self._tried(lambda: self.client.each(fetch, wanted))
        taken = set()
        for one in entries:
            if present(self.store, one.result):
                self.store.put_action(one.action.plan_key, one.action.document, dict(one.result))
                self._count(taken=1)
                taken.add(one.action.plan_key)
        return taken

    # Leaving --------------------------------------------------------------------------------------------------

    def _files(self, action: Action) -> Iterator[tuple[Digest, bool]]:
        """What an entry refers to: the result's files, and the sources that are here."""
        found = self.store.action(action.plan_key)
        assert found is not None
        yield from files_of(found["result"])
        for pin in action.pins:
            if self.store.source(pin.digest).exists():
                yield pin.digest, False

    def _leave(self, action: Action) -> None:
        found = self.store.action(action.plan_key)
        assert found is not None
        sizes = {digest: path_of(self.store, digest, blob).stat().st_size for digest, blob in self._files(action)}
        self.write(Entry(action, found["result"], sizes))

    def write(self, one: Entry) -> None:
        """Write an entry, with errors as `entry.write`; files that the action read are among its sizes."""
        entry.write(Upload(self.registry), one, self.signer, self.time)
        self._count(left=1)

    # Both -----------------------------------------------------------------------------------------------------

    def _tried(self, what: Callable[[], Any]) -> Any:
        """What comes of it, or None, and a line that says why; a cache that does not answer is not asked again."""
        try:
            return what()
        except StackbuildError as error:
            with self._mutex:
                told, self._down = self._down, self._down or not isinstance(error, HostileInput)
            if not told:
                self.told(f"cache: {error}")
        except NONSENSE as error:
            self.told(f"cache: an entry of {self.registry.name} is not one of ours ({type(error).__name__})")
        return None

    def _count(self, **more: int) -> None:
        with self._mutex:
            for name, number in more.items():
                setattr(self.moved, name, getattr(self.moved, name) + number)
