"""Perform a plan on the workers of a Dask scheduler.

    client ── orders, under their actions' keys ──▶ scheduler ──▶ workers ⇄ cache (files, entries)
      ▲                                                              │
      └─────── outcomes: results as JSON, a few KB each ─────────────┘

The graph is submitted as a whole, inputs first, so nothing waits for the client. A key is the action's own, so two
clients that want an action at once have it performed once. The client fetches the layers of what has finished while
the rest is still at work; what it believes in the end is what the cache has, not what a worker said.

What fails because of a machine (it died, it did not reach a source) is ordered again under another key, as the
scheduler may still show the old failure to somebody else.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Event, Thread

from distributed import Client

from builder import exchange
from builder.action import Action
from builder.cache import Cache, Told
from builder.digest import Digest
from builder.errors import Problems, StackbuildError, Unreachable
from builder.exchange import File
from builder.executors import dask_settings
from builder.executors.dask_round import Fault, Round
from builder.executors.order import Order, Shop
from builder.executors.outcome import Outcome
from builder.executors.placing import missing, taken, told
from builder.executors.step import Watcher, log_of, ranks
from builder.plan import Plan, files_of, path_of
from builder.store import Store

_ROUNDS = 4
"""So often is ordered what fails because of a machine."""
_ARRIVING = 2
"""Results whose layers are fetched at once, 16 files each."""
_EVERY = 5.0
"""Seconds between two looks whether workers offer what is waited for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Yard:
    """Where and how a plan is performed.

    Attributes:
        scheduler: its address, `tls://HOST:PORT` or, on this machine, `tcp://`.
        told: is given a line where something is not as it should be.
        estimate: milliseconds that an action is thought to take.
        took: is given how many it took a worker.
    """

    scheduler: str
    shop: Shop
    cache: Cache
    told: Told
    estimate: Callable[[Action], int]
    took: Callable[[Action, int], None]


def execute(plan: Plan, stale: frozenset[Digest], store: Store, yard: Yard, watcher: Watcher) -> None:
    """Have the stale actions performed; their entries are in the cache then.

    Raises:
        Problems: actions failed; those that do not depend on them were finished, and are in the cache.
        StackbuildError: the scheduler cannot be reached.
    """
    left = [action for action in plan.order() if action.plan_key in stale]
    orders = _orders(left, stale, store, yard)
    done, faults = dict[Digest, str](), dict[Digest, Fault]()
    with _connected(yard) as client, _arrivals(yard.cache) as arrived:
        for number in range(_ROUNDS):
            if client.status != "running":
                raise Unreachable(f"the scheduler went away: {yard.scheduler}", next_step="run the same command again")
            watch = _Watch(yard, watcher, arrived)
            found = Round(client=client, orders=orders, shop=_shop(yard), ranked=_priorities(plan), number=number)
            with _lookout(yard, found, left):
                failed = found.perform(left, done, watch)
            last = number == _ROUNDS - 1
            faults |= {one: fault for one, fault in failed.items() if last or not fault.passing}
            lost = _after(plan, faults)
            left = [action for action in left if action.plan_key not in done.keys() | lost]
            if not left:
                break
    problems: dict[str, StackbuildError] = {}  # What is wrong with a worker, it says of each action.
    for one in sorted(faults):
        action = plan.action(one)
        watcher.finished(action, "failed")
        problem = _told(faults[one], action, store)
        problems[str(problem)] = problem
    if problems:
        raise Problems(problems.values())


def _after(plan: Plan, faults: Mapping[Digest, Fault]) -> set[Digest]:
    """What failed, and all that needs it."""
    found, todo = set[Digest](), list(faults)
    while todo:
        one = todo.pop()
        if one not in found:
            found.add(one)
            todo += plan.readers(one)
    return found


def _told(fault: Fault, action: Action, store: Store) -> StackbuildError:
    """An action's failure for people, its log brought here."""
    if fault.failure is None:
        return fault.error
    path = log_of(action, store)
    if fault.failure.log:
        store.write(f"logs/{path.name}", fault.failure.log.encode("utf-8", "replace"))
    return fault.failure.here(str(path))


@dataclass(frozen=True, slots=True)
class _Watch:
    """What becomes of orders, told to whoever is concerned."""

    yard: Yard
    watcher: Watcher
    arrived: Callable[[Outcome], None]

    def begun(self, action: Action) -> None:
        self.watcher.started(action)

    def late(self, action: Action, seconds: int, worker: str) -> None:
        self.yard.told(f"{action.name} had no end in {seconds} s on the worker {worker}, and is begun again elsewhere")

    def done(self, action: Action, found: Outcome) -> None:
        if found.milliseconds is not None:
            self.yard.took(action, found.milliseconds)
        self.watcher.finished(action, found.how)
        self.arrived(found)


@contextmanager
def _lookout(yard: Yard, found: Round, actions: Sequence[Action]) -> Iterator[None]:
    """Say what no worker offers that there is; more may come, or some go."""
    ended, said = Event(), set[tuple[str, ...]]()

    def look() -> None:
        offers = found.offers()
        for action in actions:
            if action.plan_key not in found.finished:
                lacking = missing(taken(action, yard.shop.program, offers), offers)
                if lacking and lacking not in said:
                    said.add(lacking)
                    yard.told(told(action, lacking, len(offers)))
                    if not offers:
                        return

    def watch() -> None:
        while not ended.wait(_EVERY):
            with suppress(OSError, RuntimeError, ValueError):  # The connection was lost: whoever waits tells it.
                look()

    look()
    thread = Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()


@contextmanager
def _connected(yard: Yard) -> Iterator[Client]:
    """Raises: StackbuildError: nobody answers, or not as TLS wants it."""
    logging.disable(logging.CRITICAL)  # Dask logs what it cannot do as tracebacks; we say it in words.
    try:
        with _client(yard) as client:
            yield client
    finally:
        logging.disable(logging.NOTSET)


@contextmanager
def _client(yard: Yard) -> Iterator[Client]:
    dask_settings.settle()
    try:
        client = Client(yard.scheduler, timeout="10s", set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        raise StackbuildError(
            f"no scheduler answers: {yard.scheduler}",
            got=str(error).splitlines()[0] if str(error) else type(error).__name__,
            expected="a scheduler of Dask's there, and the certificates of docs/distributed.md for tls://",
            next_step="to try it on this machine: stackbuild workers --local 2",
        ) from None
    with client:
        yield client


@contextmanager
def _arrivals(cache: Cache) -> Iterator[Callable[[Outcome], None]]:
    """Fetches what has finished; what has not begun at the end never does, as `Cache.fill` asks for all of it again."""
    pool = ThreadPoolExecutor(_ARRIVING)

    def arrive(found: Outcome) -> None:
        files = [File(digest, blob, found.sizes[digest]) for digest, blob in files_of(found.result)]
        with suppress(StackbuildError):  # It is only early; what is missing in the end is told then.
            exchange.take(cache.registry, cache.store, files)

    def arrived(found: Outcome) -> None:
        pool.submit(arrive, found)

    try:
        yield arrived
    finally:
        pool.shutdown(cancel_futures=True)


def _orders(actions: Sequence[Action], stale: frozenset[Digest], store: Store, yard: Yard) -> dict[Digest, Order]:
    """The orders, after all was put into the cache that they read of this machine."""
    given: dict[Digest, Outcome] = {}
    files = {Digest(one): path for action in actions for one, path in action.local.items()}
    for need in dict.fromkeys(need for action in actions for need in action.needs.values()):
        if need.plan_key not in stale:
            found = store.action(need.plan_key)
            assert found is not None
            own = {digest: path_of(store, digest, blob) for digest, blob in files_of(found["result"])}
            sizes = {digest: path.stat().st_size for digest, path in own.items()}
            given[need.plan_key] = Outcome(result=found["result"], sizes=sizes)
            files |= own
    exchange.lend(yard.cache.registry, files)
    return {
        action.plan_key: Order(
            shop=yard.shop,
            action=action,
            local={Digest(one): path.stat().st_size for one, path in action.local.items()},
            given={one.plan_key: given[one.plan_key] for one in action.needs.values() if one.plan_key in given},
            estimate=yard.estimate(action),
        )
        for action in actions
    }


def _shop(yard: Yard) -> str:
    """What must be equal for an action of two clients to be one: cache, program, and who is believed."""
    trust = yard.cache.trust
    return repr((yard.shop.place, yard.shop.program, yard.shop.sources, trust.registry, sorted(trust.keys)))


def _priorities(plan: Plan) -> dict[Digest, int]:
    """Larger is earlier; bytes, as `ranks` weighs them."""
    return {one: -weight for one, (weight, _) in ranks(plan).items()}
