"""Where a worker performs orders: its own store, its own processes, and files through the cache.

    is it in the cache? ──no──▶ results of its needs are noted ──▶ its files arrive ──▶ performed ──▶ left in the cache
      └─yes─▶ that is the outcome; no file moves

Orders may be performed several times, and at once on several workers: all come to equal files, and the last entry of
the cache is as good as the first. So whoever dies in the middle leaves nothing to clear up but in its own store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock as Mutex
from threading import Semaphore

from builder import exchange
from builder.action import Action, Result, Workshop
from builder.cache import Cache
from builder.digest import Digest
from builder.errors import StackbuildError
from builder.executors.local import workshop
from builder.executors.order import Failed, Order, Outcome, Shop, order, outcome
from builder.executors.step import attempt, log_of, prepare
from builder.fetching import Fetcher
from builder.manifest.model import Manifest
from builder.manifest.read import loads
from builder.plan import files_of, intact
from builder.planner import reads_listings
from builder.store import Store

Opened = Callable[[Manifest, Shop, Store], Cache]
"""The cache of a shop, to be read and written."""

_LONGEST_LOG = 1 << 20
_LENDING = 4
"""Actions whose sources are lent at once, 16 files each."""
_SHOPS = 8
"""So many manifests are remembered, with what their indexes have said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Staff:
    """Who works at a bench, and how.

    Attributes:
        name: of the worker, for people.
        opened: opens caches, to be read and written.
        now: the time of an entry, in UTC as RFC 3339 writes it.
        at_once: so many actions are performed at once; others wait for files meanwhile.
    """

    name: str
    opened: Opened
    now: Callable[[], str]
    at_once: int


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
        self._hands = Semaphore(staff.at_once)
        self._lending = ThreadPoolExecutor(_LENDING)
        self._mutex = Mutex()
        self._counters: dict[Shop, _Counter] = {}

    def perform(self, text: str, outcomes: Sequence[str], begun: Callable[[str], None]) -> str:
        """Perform an order; its outcome.

        Args:
            outcomes: of the orders that it needs, in the order of `waited_for`.
            begun: is told the plan key when something is really done.

        Raises:
            Failed: it could not be performed.
        """
        known = order(text, self._store)
        try:
            with self._store.leased():
                return self._outcome(known, [outcome(one) for one in outcomes], begun).dumps()
        except StackbuildError as error:
            raise self._failed(known.action, error) from None

    def _outcome(self, known: Order, outcomes: Sequence[Outcome], begun: Callable[[str], None]) -> Outcome:
        action, counter = known.action, self._counter(known.shop)
        entry = counter.cache.entry(action)
        if entry is not None:
            return Outcome(result=entry.result, sizes=entry.sizes, how="from the cache")
        given = {**dict(zip(waited_for(action, known.given), outcomes, strict=True)), **known.given}
        sizes = {digest: size for one in given.values() for digest, size in one.sizes.items()}
        how = "kept"
        if intact(self._store, action.plan_key):
            self._store.used(action.plan_key)
            exchange.lend_sources(counter.cache, action)
        else:
            for need in action.needs.values():
                self._store.put_action(need.plan_key, need.document, dict(given[need.plan_key].result))
            how = self._done(known, counter, sizes, begun)
        found = self._store.action(action.plan_key)
        assert found is not None
        result: Result = found["result"]
        return Outcome(result=result, sizes=exchange.leave(counter.cache, action, result, sizes), how=how)

    def _done(self, known: Order, counter: _Counter, sizes: Mapping[Digest, int], begun: Callable[[str], None]) -> str:
        action, store = known.action, self._store
        if how := prepare(action, store, counter.fetcher):
            exchange.lend_sources(counter.cache, action)
            return how
        lent = self._lending.submit(exchange.lend_sources, counter.cache, action)  # Done before the work is, mostly.
        exchange.take(counter.cache, self._read(known, sizes))
        with self._hands:
            how = attempt(action, store, self._make, _Began(begun))
        lent.result()
        return how

    def _read(self, known: Order, sizes: Mapping[Digest, int]) -> Iterator[tuple[Digest, bool, int]]:
        """The files that an action reads of other actions' results, and of the project."""
        yield from ((digest, False, size) for digest, size in known.local.items())
        listings = reads_listings(known.action)
        for need in known.action.needs.values():
            found = self._store.action(need.plan_key)
            assert found is not None
            for digest, blob in files_of(found["result"]):
                if not (blob and listings):
                    yield digest, blob, sizes[digest]

    def _counter(self, shop: Shop) -> _Counter:
        with self._mutex:
            counter = self._counters.pop(shop, None)
            if counter is None:
                manifest = loads(shop.manifest, self._store.path / "stacks.toml")
                cache = self._staff.opened(manifest, shop, self._store)
                counter = _Counter(cache, Fetcher(manifest, self._store, cache.client, nearby=cache.url))
            self._counters[shop] = counter
            while len(self._counters) > _SHOPS:
                self._counters.pop(next(iter(self._counters)))
        return replace(counter, cache=counter.cache.again(self._staff.now()))

    def _failed(self, action: Action, error: StackbuildError) -> Failed:
        log = log_of(action, self._store)
        failed = Failed(error.what, where=error.where, expected=error.expected, got=error.got)
        failed.key, failed.error, failed.worker, failed.log_path = action.plan_key, error, self._staff.name, str(log)
        failed.log = log.read_text(errors="replace")[-_LONGEST_LOG:] if log.exists() else ""
        return failed


def waited_for(action: Action, given: Mapping[Digest, Outcome]) -> list[Digest]:
    """The plan keys of the actions whose orders must be performed first, each once, in a fixed order."""
    return sorted({need.plan_key for need in action.needs.values()} - given.keys())


class _Began:
    """A watcher that passes on what begins."""

    def __init__(self, begun: Callable[[str], None]) -> None:
        self._begun = begun

    def started(self, action: Action) -> None:
        self._begun(str(action.plan_key))

    def finished(self, action: Action, how: str) -> None: ...


@contextmanager
def bench(store: Store, staff: Staff, jobs: int) -> Iterator[Bench]:
    """A bench with its processes, of which there are `jobs`."""
    with workshop(store, jobs) as make:
        yield Bench(store, staff, make)
