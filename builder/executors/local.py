"""Perform a plan on this machine: a thread for each running action, a pool of processes for what needs a core.

    ready ──▶ its sources arrive, as many actions at once as there are ──▶ performed, a few at once ──▶ its readers

Threads wait (for the network, a sandbox, the pool); processes work. Actions whose inputs are there are prepared at
once, the heaviest first; nothing waits for a level to finish, and no core for a download that others can do without.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

from builder.action import Workshop
from builder.digest import Digest
from builder.errors import Problems, StackbuildError
from builder.executors.orphan import follow_parent
from builder.executors.step import Fetch, Watcher, attempt, prepare, ranks
from builder.plan import Plan
from builder.store import Store

_AWAITED = 64
"""The sources of so many actions arrive at once; how many files do, the fetcher decides."""


@contextmanager
def workshop(store: Store, jobs: int) -> Iterator[Callable[[Path], Workshop]]:
    """A pool of processes, started when first used; called with a log's path it gives the workshop."""
    pool = _Pool(jobs)
    try:

        def make(log: Path) -> Workshop:
            return Workshop(store=store, heavy=pool.submit, jobs=jobs, log=log)

        yield make
    finally:
        pool.close()


class _Pool:
    """Processes, and others after one of them was killed, as the kernel does for want of memory."""

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs
        self._mutex = Lock()
        self._pool = self._made()

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
        with self._mutex:
            try:
                return self._pool.submit(function, *arguments)
            except BrokenProcessPool:
                self._pool = self._made()
                return self._pool.submit(function, *arguments)

    def close(self) -> None:
        self._pool.shutdown()

    def _made(self) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["builder.parts", "builder.kinds.pip.part"])
        return ProcessPoolExecutor(self._jobs, mp_context=context, initializer=follow_parent)


def execute(plan: Plan, stale: frozenset[Digest], store: Store, *, jobs: int, fetch: Fetch, watcher: Watcher) -> None:
    """Perform the stale actions; what is finished is kept, whatever fails.

    Raises:
        Problems: actions failed; those that do not depend on them were finished.
    """
    waiting = {key: {need for need in plan.needs(key) if need in stale} for key in stale}
    running: dict[Future[str], Digest] = {}
    problems: list[StackbuildError] = []
    ranked = ranks(plan)
    with workshop(store, jobs) as make, _threads(_AWAITED) as arrivals, _threads(max(4, 2 * jobs)) as threads:
        while waiting or running:
            for one in sorted((one for one, needs in waiting.items() if not needs), key=ranked.__getitem__):
                del waiting[one]
                running[arrivals.submit(prepare, plan.action(one), store, fetch)] = one
            if not running:
                break  # What still waits, waits for something that failed.
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                one = running.pop(future)
                error = future.exception()
                if error is None and not future.result():
                    running[threads.submit(attempt, plan.action(one), store, make, watcher)] = one
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
