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

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from distributed import CancelledError, Client, Future, KilledWorker, as_completed

from builder import exchange
from builder.action import Action
from builder.cache import Cache, Told
from builder.digest import Digest, key
from builder.errors import Problems, StackbuildError, Unreachable
from builder.executors.bench import waited_for
from builder.executors.dask_worker import TOPIC, errand
from builder.executors.order import Failed, Order, Outcome, Shop, outcome
from builder.executors.step import Watcher, log_of, ranks
from builder.plan import Plan, files_of
from builder.planner import sandboxed, space
from builder.store import Store

_ROUNDS = 4
"""So often is ordered what fails because of a machine."""
_ARRIVING = 2
"""Results whose layers are fetched at once, 16 files each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Yard:
    """Where and how a plan is performed.

    Attributes:
        scheduler: its address, `tls://HOST:PORT` or, on this machine, `tcp://`.
        told: is given a line where something is not as it should be.
    """

    scheduler: str
    shop: Shop
    cache: Cache
    told: Told


def execute(plan: Plan, stale: frozenset[Digest], store: Store, yard: Yard, watcher: Watcher) -> None:
    """Have the stale actions performed; their entries are in the cache then.

    Raises:
        Problems: actions failed; those that do not depend on them were finished, and are in the cache.
        StackbuildError: the scheduler cannot be reached, or no worker could ever perform one of the actions.
    """
    ordered = [action for action in plan.order() if action.plan_key in stale]
    given = _lent(ordered, stale, store, yard.cache)
    with _connected(yard) as client, _arrivals() as arrivals:
        run = _Run(yard=yard, client=client, watcher=watcher, given=given, ranked=_priorities(plan))
        run.follow({action.plan_key: action for action in ordered})
        run.warn(ordered)
        left, problems = ordered, dict[str, StackbuildError]()
        for number in range(_ROUNDS):
            failed = run.round(left, number, lambda one: arrivals.submit(_arrive, yard.cache, one))
            passing = {one for one, error in failed.items() if _passes(error)}
            problems |= {one: _told(error, plan, store) for one, error in failed.items() if not _passes(error)}
            left = [action for action in left if action.plan_key not in run.done]
            if not passing:
                break
            if number == _ROUNDS - 1:
                problems |= {one: _told(failed[one], plan, store) for one in passing}
    for action in ordered:
        if action.plan_key in problems:
            watcher.finished(action, "failed")
    if problems:
        raise Problems(problems[one] for one in sorted(problems))


@dataclass(slots=True, kw_only=True)
class _Run:
    """One execution: what is known so far."""

    yard: Yard
    client: Client
    watcher: Watcher
    given: Mapping[Digest, Outcome]
    ranked: Mapping[Digest, int]
    done: dict[Digest, Future[str]] = field(default_factory=dict)

    def follow(self, actions: Mapping[Digest, Action]) -> None:
        """Tell the watcher what workers begin; other clients' actions are nothing to it."""

        def begun(event: tuple[float, Any]) -> None:
            action = actions.get(event[1])
            if action is not None and action.plan_key not in self.done:
                self.watcher.started(action)

        self.client.subscribe_topic(TOPIC, begun)  # type: ignore[no-untyped-call]

    def warn(self, actions: list[Action]) -> None:
        """Say what no worker offers that is there now; more may come."""
        offered = {name for one in self._workers() for name in one["resources"]}
        wanted = {name: action for action in reversed(actions) for name in self._resources(action)}
        for name in sorted(wanted.keys() - offered):
            self.yard.told(f"waiting for a worker that offers {name}, as {wanted[name].name} takes one")

    def round(self, actions: list[Action], number: int, arrived: Callable[[Outcome], object]) -> dict[str, Exception]:
        """Order these actions; when none runs any more, the culprits: plan key → why it failed."""
        futures: dict[Digest, Future[str]] = dict(self.done)
        names: dict[str, Action] = {}
        for action in actions:
            futures[action.plan_key] = self._submit(action, number, futures)
            names[str(futures[action.plan_key].key)] = action
        failed: dict[str, Exception] = {}
        ordered = [futures[one.plan_key] for one in actions]
        for future in as_completed(ordered, loop=self.client.loop):  # type: ignore[no-untyped-call]
            action = names[future.key]
            try:
                found = outcome(future.result())
            except Failed as error:
                failed[error.key] = error
            except KilledWorker as error:
                blamed = names.get(str(error.task))
                failed[blamed.plan_key if blamed else action.plan_key] = error
            except (CancelledError, OSError) as error:
                failed[action.plan_key] = error
            else:
                self.done[action.plan_key] = future
                self.watcher.finished(action, found.how)
                arrived(found)
        return failed

    def _submit(self, action: Action, number: int, futures: Mapping[Digest, Future[str]]) -> Future[str]:
        given = {
            need.plan_key: self.given[need.plan_key] for need in action.needs.values() if need.plan_key in self.given
        }
        local = {Digest(one): path.stat().st_size for one, path in action.local.items()}
        order = Order(shop=self.yard.shop, action=action, local=local, given=given)
        return self.client.submit(
            errand,
            order.dumps(),
            *(futures[one] for one in waited_for(action, given)),
            key=_name(action, self.yard.shop, number),
            resources=self._resources(action),
            priority=self.ranked[action.plan_key],
        )

    def _resources(self, action: Action) -> dict[str, float]:
        """What performing it takes of a worker: no more memory than the largest has, as less may do."""
        if not sandboxed(action):
            return {}
        most = max((one["resources"].get("memory", 0) for one in self._workers()), default=0)
        found: dict[str, float] = {"sandbox": 1, "memory": min(space(action), most)}
        if action.platform:
            found[action.platform] = 1
        return {name: amount for name, amount in found.items() if amount}

    def _workers(self) -> list[dict[str, Any]]:
        return list(self.client.scheduler_info(n_workers=-1)["workers"].values())


@contextmanager
def _connected(yard: Yard) -> Iterator[Client]:
    """Raises: StackbuildError: nobody answers, or not as TLS wants it."""
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
def _arrivals() -> Iterator[ThreadPoolExecutor]:
    """Fetches what has finished; what has not begun at the end never does, as `Cache.fill` asks for all of it again."""
    pool = ThreadPoolExecutor(_ARRIVING)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _arrive(cache: Cache, found: Outcome) -> None:
    with suppress(StackbuildError):  # It is only early; what is missing in the end is told then.
        exchange.take(cache, [(digest, blob, found.sizes[digest]) for digest, blob in files_of(found.result)])


def _lent(actions: list[Action], stale: frozenset[Digest], store: Store, cache: Cache) -> dict[Digest, Outcome]:
    """Put into the cache what the actions read of this machine; the outcomes of the needs that are not stale."""
    given: dict[Digest, Outcome] = {}
    files: dict[Digest, Any] = {}
    for action in actions:
        files |= {Digest(one): path for one, path in action.local.items()}
        for need in action.needs.values():
            if need.plan_key in stale or need.plan_key in given:
                continue
            found = store.action(need.plan_key)
            assert found is not None
            own = {digest: exchange.path_of(store, digest, blob) for digest, blob in files_of(found["result"])}
            sizes = {digest: path.stat().st_size for digest, path in own.items()}
            given[need.plan_key] = Outcome(result=found["result"], sizes=sizes)
            files |= own
    exchange.lend(cache, files.items())
    return given


def _priorities(plan: Plan) -> dict[Digest, int]:
    """Larger is earlier; bytes, as `ranks` weighs them."""
    return {one: -weight for one, (weight, _) in ranks(plan).items()}


def _name(action: Action, shop: Shop, number: int) -> str:
    """What the scheduler calls an action: equal for all clients that use one cache."""
    cache = key([shop.place, shop.require_signature]).hex[:16]
    again = f"-again-{number}" if number else ""
    return f"{action.kind}-{action.plan_key.hex}-{cache}{again}"


def _passes(error: Exception) -> bool:
    return error.passing if isinstance(error, Failed) else True


def _told(error: Exception, plan: Plan, store: Store) -> StackbuildError:
    """An action's failure for people, its log brought here."""
    if isinstance(error, Failed):
        path = log_of(plan.action(Digest(error.key)), store)
        if error.log:
            store.write(f"logs/{path.name}", error.log.encode())
        return error.here(path)
    if isinstance(error, KilledWorker):
        return StackbuildError(
            "the workers that performed an action died, one after the other",
            where=str(error.task),
            next_step="look at the workers' own logs: there may be too little memory",
        )
    return Unreachable("the scheduler gave up an action", got=str(error) or type(error).__name__)
