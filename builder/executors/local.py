"""Perform a plan on this machine: a thread for each running action, a pool of processes for what needs a core.

    ready ──▶ its sources arrive, as many actions at once as there are ──▶ performed, a few at once ──▶ its readers

Threads wait (for the network, a sandbox, the pool); processes work. Actions whose inputs are there are prepared at
once, the heaviest first; nothing waits for a level to finish, and no core for a download that others can do without.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from builder.action import Action, Result, Workshop
from builder.digest import Digest, key
from builder.errors import Problems, StackbuildError
from builder.lock import Pin
from builder.plan import Plan, present
from builder.planner import perform
from builder.store import Store


class Watcher(Protocol):
    """Is told what happens; used for progress. Methods may be called from any thread."""

    def started(self, action: Action) -> None: ...

    def finished(self, action: Action, how: str) -> None: ...


_AWAITED = 64
"""The sources of so many actions arrive at once; how many files do, the fetcher decides."""

Fetch = Callable[[tuple[Pin, ...]], None]
"""Brings pinned files into the store, in parallel, or raises."""


@contextmanager
def workshop(store: Store, jobs: int) -> Iterator[Callable[[Path], Workshop]]:
    """A pool of processes, started when first used; called with a log's path it gives the workshop."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["builder.parts", "builder.kinds.pip.part"])
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:

        def make(log: Path) -> Workshop:
            def heavy(function: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
                return pool.submit(function, *arguments)

            return Workshop(store=store, heavy=heavy, jobs=jobs, log=log)

        yield make


def execute(plan: Plan, stale: frozenset[Digest], store: Store, *, jobs: int, fetch: Fetch, watcher: Watcher) -> None:
    """Perform the stale actions; what is finished is kept, whatever fails.

    Raises:
        Problems: actions failed; those that do not depend on them were finished.
    """
    waiting = {key: {need for need in plan.needs(key) if need in stale} for key in stale}
    running: dict[Future[str], Digest] = {}
    problems: list[StackbuildError] = []
    ranks = _ranks(plan)
    with workshop(store, jobs) as make, _threads(_AWAITED) as arrivals, _threads(max(4, 2 * jobs)) as threads:
        while waiting or running:
            for one in sorted((one for one, needs in waiting.items() if not needs), key=ranks.__getitem__):
                del waiting[one]
                running[arrivals.submit(_prepare, plan.action(one), store, fetch)] = one
            if not running:
                break  # What still waits, waits for something that failed.
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                one = running.pop(future)
                error = future.exception()
                if error is None and not future.result():
                    running[threads.submit(_attempt, plan.action(one), store, make, watcher)] = one
                elif error is None:
                    watcher.finished(plan.action(one), future.result())
                    for needs in waiting.values():
                        needs.discard(one)
                elif isinstance(error, StackbuildError):
                    problems.append(error)
                    watcher.finished(plan.action(one), "failed")
                else:
                    raise error
    if problems:
        raise Problems(problems)


@contextmanager
def _threads(count: int) -> Iterator[ThreadPoolExecutor]:
    """So many threads; if something breaks off, such as ^C, what has not begun never does."""
    pool = ThreadPoolExecutor(count)
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()


def _ranks(plan: Plan) -> dict[Digest, tuple[int, str]]:
    """What sorts the actions that are ready: those first before which most lies, by the bytes that it and its readers
    fetch; the light ones fill the gaps at the end. Ties by name."""
    weights: dict[Digest, int] = {}
    for action in reversed(list(plan.order())):
        after = max((weights[one] for one in plan.readers(action.plan_key)), default=0)
        weights[action.plan_key] = after + sum(pin.size for pin in action.pins)
    return {key: (-weight, plan.action(key).name) for key, weight in weights.items()}


def _prepare(action: Action, store: Store, fetch: Fetch) -> str:
    """Have all that an action reads, unless its key is known: early cutoff. Returns how it came about, "" if not so."""
    known, _ = _known(action, store)
    if not known:
        fetch(action.pins)
    return known


def _known(action: Action, store: Store) -> tuple[str, Mapping[str, Result]]:
    """Take the result of equal inputs, if there is one: "same inputs" then, else ""; and the results that it reads."""
    results = {role: _result(store, need) for role, need in action.needs.items()}
    found = store.action(key(action.result_document(results)))
    if found is None or not present(store, found["result"]):
        return "", results
    store.put_action(action.plan_key, action.document, found["result"])
    return "same inputs", results


def _attempt(action: Action, store: Store, make: Callable[[Path], Workshop], watcher: Watcher) -> str:
    """Perform one action whose sources are here. Returns how it came about."""
    document = action.result_document({role: _result(store, need) for role, need in action.needs.items()})
    own = key(document)
    with store.locked(f"action-{own.hex}"):  # Equal inputs, in another target or process: once is enough.
        known, results = _known(action, store)
        if known:
            return known
        watcher.started(action)
        log = store.path / "logs" / f"{action.plan_key.hex[:12]}.txt"
        log.unlink(missing_ok=True)
        result = perform(action, results, make(log))
        store.put_action(own, document, dict(result))
        store.put_action(action.plan_key, action.document, dict(result))
    return "done"


def _result(store: Store, action: Action) -> Result:
    found = store.action(action.plan_key)
    if found is None:
        raise StackbuildError(
            f"the result of {action.name} is gone from the store", next_step="run the same command again"
        )
    result: Result = found["result"]
    return result
