"""Where a worker performs orders: its own store, its own processes, and files through the cache.

    is it in the cache? ──no──▶ results of its needs are noted ──▶ its files arrive ──▶ performed ──▶ left in the cache
      └─yes─▶ that is the outcome; no file moves

Orders may be performed several times, and at once on several workers: all come to equal files, and the last entry of
the cache is as good as the first. So whoever dies in the middle leaves nothing to clear up but in its own store.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import Lock as Mutex
from threading import Semaphore
from typing import Protocol

from builder import exchange, program
from builder.action import Action, Result, Workshop
from builder.cache import Cache
from builder.digest import Digest
from builder.entry import Entry
from builder.errors import StackbuildError
from builder.exchange import File
from builder.executors.clearing import Limit, Room
from builder.executors.local import workshop
from builder.executors.order import Order, Shop, order, waited_for
from builder.executors.outcome import Failed, Failure, Outcome, outcome, passes
from builder.executors.overdue import Patience
from builder.executors.shares import Shares
from builder.executors.step import attempt, log_of, prepare
from builder.fetching import Fetcher
from builder.manifest.model import Manifest
from builder.plan import files_of, intact
from builder.planner import reads_listings
from builder.store import Store

Opened = Callable[[Shop, Store], tuple[Manifest, Cache]]
"""The manifest of a shop, and its cache, to be read and written."""


class Teller(Protocol):
    """Tells whoever ordered."""

    def begun(self, action: Action) -> None:
        """It is really performed."""

    def late(self, action: Action, seconds: float) -> None:
        """It had no end in this time: the worker ends, and others perform it."""


_LENDING = 4
"""Actions whose sources are lent at once, 16 files each."""
_SHOPS = 8
"""So many manifests are remembered, with what their indexes have said."""
_ELSEWHERE = (OSError, MemoryError, BrokenProcessPool)
"""What speaks of this machine rather than of the step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Staff:
    """Who works at a bench, and how.

    Attributes:
        name: of the worker, for people.
        opened: opens caches, to be read and written.
        now: the time of an entry, in UTC as RFC 3339 writes it.
        at_once: so many actions are performed at once; others wait for files meanwhile.
        patience: watches what is performed.
        limit: how large the store may be; None for as large as it likes.
    """

    name: str
    opened: Opened
    now: Callable[[], str]
    at_once: int
    patience: Patience
    limit: Limit | None = None


@dataclass(slots=True)
class _Counter:
    """What serves the orders of one shop."""

    cache: Cache
    fetcher: Fetcher


class Bench:
    """Performs orders; used by many threads.

    Args:
        make: gives workshops, as `workshop` does.
    """

    def __init__(self, store: Store, staff: Staff, make: Callable[[Path], Workshop]) -> None:
        self._staff = staff
        self._store = store
        self._make = make
        self._room = Room(store, staff.limit)
        self._shares = Shares()
        self._hands = Semaphore(staff.at_once)
        self._lending = ThreadPoolExecutor(_LENDING)
        self._mutex = Mutex()
        self._counters: dict[Shop, _Counter] = {}

    def perform(self, text: str, outcomes: Sequence[str], teller: Teller) -> str:
        """Perform an order; its outcome.

        Args:
            outcomes: of the orders that it needs, in the order of `waited_for`.

        Raises:
            Failed: it could not be performed.
        """
        known: Order | None = None
        try:
            known = order(text, self._store)
            with self._room.entered():
                return self._outcome(known, outcomes, teller).dumps()
        except StackbuildError as error:
            raise self._failed(known, error, passing=passes(error)) from None
        except Exception as error:
            traceback.print_exc(file=sys.stderr)
            told = StackbuildError(
                f"the worker {self._staff.name} could not go on" + (f" with {known.action.name}" if known else ""),
                got=f"{type(error).__name__}: {error}".splitlines()[0],
                next_step="look at what that worker says itself",
            )
            raise self._failed(known, told, passing=isinstance(error, _ELSEWHERE)) from None

    def _outcome(self, known: Order, outcomes: Sequence[str], teller: Teller) -> Outcome:
        if known.shop.program != program.identity():
            raise StackbuildError(
                f"the worker {self._staff.name} is another stackbuild than the one that ordered",
                expected=known.shop.program,
                got=program.identity(),
                next_step="install the same version where workers are and where builds are ordered",
            )
        action, counter = known.action, self._counter(known.shop)
        entry = counter.cache.entry(action)
        if entry is not None:
            return Outcome(result=entry.result, sizes=entry.sizes, how="from the cache")
        others = zip(waited_for(action, known.given), outcomes, strict=True)
        given = {**{need.plan_key: outcome(said, need) for need, said in others}, **known.given}
        sizes = {digest: size for one in given.values() for digest, size in one.sizes.items()}
        found = Outcome(result={}, sizes={}, how="kept")
        if intact(self._store, action.plan_key):
            self._store.used(action.plan_key)
            self._lend(known, counter)
        else:
            for need in action.needs.values():
                self._store.put_action(need.plan_key, need.document, dict(given[need.plan_key].result))
            found = self._done(known, counter, sizes, teller)
        return self._left(known, counter, sizes, found)

    def _left(self, known: Order, counter: _Counter, there: Mapping[Digest, int], found: Outcome) -> Outcome:
        """Leave what an action came to in the cache: its files first, then its entry.

        Args:
            there: sizes of files that are in the cache already.
        """
        action, registry = known.action, counter.cache.registry
        result = _result(self._store, action)
        sizes = exchange.left(registry, self._store, result, there)
        read = {one: path.stat().st_size for one, path in self._sources(known).items()}
        counter.cache.write(Entry(action, result, {**sizes, **read}))
        return replace(found, result=result, sizes=sizes)

    def _done(self, known: Order, counter: _Counter, sizes: Mapping[Digest, int], teller: Teller) -> Outcome:
        action, store = known.action, self._store
        if how := prepare(action, store, counter.fetcher):
            self._lend(known, counter)
            return Outcome(result={}, sizes={}, how=how)
        lent = self._lent_meanwhile(known, counter)
        exchange.take(counter.cache.registry, store, self._read(known, sizes))
        watch = _Watch(known, self._staff.patience, self._shares, teller)
        with self._hands, watch.watching():
            how = attempt(action, store, self._make, watch)
        lent.result()
        return Outcome(result={}, sizes={}, how=how, milliseconds=watch.milliseconds)

    def _lent_meanwhile(self, known: Order, counter: _Counter) -> Future[None]:
        """Done before the work is, mostly; nothing of it goes from the store, though the work should fail."""

        def lend() -> None:
            with self._store.leased():
                self._lend(known, counter)

        return self._lending.submit(lend)

    def _lend(self, known: Order, counter: _Counter) -> None:
        exchange.lend(counter.cache.registry, self._sources(known))

    def _sources(self, known: Order) -> Mapping[Digest, Path]:
        """The pinned files that are to be left in the cache."""
        return exchange.read(self._store, known.action) if known.shop.sources else {}

    def _read(self, known: Order, sizes: Mapping[Digest, int]) -> Iterator[File]:
        """The files that an action reads of other actions' results, and of the project."""
        yield from (File(digest, False, size) for digest, size in known.local.items())
        listings = reads_listings(known.action)
        for need in known.action.needs.values():
            for digest, blob in files_of(_result(self._store, need)):
                if not (blob and listings):
                    yield File(digest, blob, sizes[digest])

    def _counter(self, shop: Shop) -> _Counter:
        with self._mutex:
            counter = self._counters.pop(shop, None)
            if counter is None:
                manifest, cache = self._staff.opened(shop, self._store)
                counter = _Counter(cache, Fetcher(manifest, self._store, cache.client, nearby=cache.url))
            self._counters[shop] = counter
            while len(self._counters) > _SHOPS:
                self._counters.pop(next(iter(self._counters)))
        return replace(counter, cache=counter.cache.again(self._staff.now()))

    def _failed(self, known: Order | None, error: StackbuildError, *, passing: bool) -> Failed:
        log = log_of(known.action, self._store) if known else None
        performed = log is not None and str(log) in str(error)  # Else it is that of an earlier attempt.
        said = log.read_text(errors="replace") if log and performed and log.exists() else ""
        failure = Failure(
            key=known.action.plan_key if known else None,
            error=error,
            log=said,
            log_path=str(log or ""),
            worker=self._staff.name,
            passing=passing,
        )
        return Failed(failure.dumps())


def _result(store: Store, action: Action) -> Result:
    found = store.action(action.plan_key)
    if found is None:
        raise StackbuildError(f"the result of {action.name} is gone from the worker's store")
    result: Result = found["result"]
    return result


class _Watch:
    """Notes when a step is performed; a watcher as `attempt` has one."""

    def __init__(self, known: Order, patience: Patience, shares: Shares, teller: Teller) -> None:
        self._known = known
        self._patience = patience
        self._shares = shares
        self._teller = teller
        self._number: int | None = None
        self.milliseconds: int | None = None

    def started(self, action: Action) -> None:
        late = partial(self._teller.late, action)
        self._number = self._patience.begin(self._known.estimate, late)
        self._shares.start(action.plan_key)
        self._teller.begun(action)

    def finished(self, action: Action, how: str) -> None: ...

    @contextmanager
    def watching(self) -> Iterator[None]:
        try:
            yield
        finally:
            if self._number is not None:
                self._patience.end(self._number)
                self.milliseconds = self._shares.stop(self._known.action.plan_key)


@contextmanager
def bench(store: Store, staff: Staff, jobs: int) -> Iterator[Bench]:
    """A bench with its processes, of which there are `jobs`."""
    with workshop(store, jobs) as make:
        staff.patience.watch()
        try:
            yield Bench(store, staff, make)
        finally:
            staff.patience.stop()
