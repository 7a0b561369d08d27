"""A worker of Dask's that performs orders.

It takes part in whatever cluster the scheduler has; only tasks that call `errand` are ours. Who sends tasks is Dask's
business (TLS with certificates of one's own authority), as a worker runs whatever it is sent.

Sources: https://distributed.dask.org/en/stable/resources.html, …/tls.html, …/plugins.html.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping
from dataclasses import dataclass

from distributed import Worker, WorkerPlugin, get_worker

from builder.action import Action
from builder.executors import dask_settings
from builder.executors.bench import Bench
from builder.executors.overdue import end_within

TOPIC = "stackbuild"
"""Where a worker says what becomes of an action: `{"key": …}` it begins, with `late`, after how many seconds it was
given up, and `worker`, the name of that one."""
_PLUGIN = "stackbuild"
_FAREWELL = 20.0
"""Seconds that a worker has which is asked to end; Kubernetes gives thirty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a worker is and has.

    Attributes:
        resources: as `placing.offer` says.
        threads: so many orders at once, of which most wait for files.
        folder: where Dask may put files.
        host: the only address at which it listens to others; None for all of this machine's.
    """

    name: str
    resources: Mapping[str, float]
    threads: int
    folder: str
    host: str | None


class _Plugin(WorkerPlugin):
    """Holds the bench for `errand`."""

    name = _PLUGIN

    def __init__(self, bench: Bench) -> None:
        self.bench = bench


class _Teller:
    """Tells all clients, by the scheduler."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def begun(self, action: Action) -> None:
        self._worker.log_event(TOPIC, {"key": str(action.plan_key)})

    def late(self, action: Action, seconds: float) -> None:
        said = {"key": str(action.plan_key), "late": round(seconds), "worker": str(self._worker.name)}
        self._worker.log_event(TOPIC, said)


def errand(text: str, *outcomes: str) -> str:
    """The task: perform an order on this worker."""
    worker = get_worker()
    plugin = worker.plugins.get(_PLUGIN)
    if not isinstance(plugin, _Plugin):
        raise RuntimeError(f"the worker {worker.name} is not one of stackbuild's: start it with stackbuild workers")
    return plugin.bench.perform(text, outcomes, _Teller(worker))


def serve(scheduler: str, bench: Bench, offer: Offer) -> None:
    """Work until the scheduler or a signal ends it; what runs then is finished elsewhere."""
    asyncio.run(_serve(scheduler, bench, offer))


async def _serve(scheduler: str, bench: Bench, offer: Offer) -> None:
    dask_settings.settle()
    worker = Worker(
        scheduler,
        name=offer.name,
        host=offer.host,
        nthreads=offer.threads,
        resources=dict(offer.resources),
        local_directory=offer.folder,
        memory_limit=0,  # Memory is used by other processes than this one.
        dashboard=False,
        dashboard_address="127.0.0.1:0",  # What it tells there of itself, it tells everybody who asks.
        plugins=(_Plugin(bench),),
    )
    async with worker:
        loop = asyncio.get_running_loop()
        leaving: set[asyncio.Task[object]] = set()

        def leave() -> None:
            end_within(_FAREWELL)
            leaving.add(loop.create_task(worker.close(timeout=5)))

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, leave)
        await worker.finished()  # type: ignore[no-untyped-call]
