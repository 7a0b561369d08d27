"""A scheduler of Dask's and some workers on this machine's loopback interface, for as long as this process lives.

A worker that dies is started again: so is whatever runs workers in earnest (systemd, Kubernetes).
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from distributed import Scheduler

from builder.executors import dask_settings

_FAILURES = 20
"""A step that so many workers died with is not tried again: on one machine they die for reasons of their own, too."""
_PAUSE = 1.0
"""Seconds before a worker that died is started again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hand:
    """A worker to be started: arguments of `stackbuild`, and its environment."""

    arguments: Sequence[str]
    environ: Mapping[str, str]


Hands = Callable[[str], Sequence[Hand]]
"""The workers of a scheduler at an address."""


def serve(port: int, hands: Hands, ready: Callable[[str], None]) -> None:
    """Work until a signal comes. `ready` is told the scheduler's address."""
    asyncio.run(_serve(port, hands, ready))


async def _serve(port: int, hands: Hands, ready: Callable[[str], None]) -> None:
    dask_settings.settle()
    end = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end.set)
    status = "127.0.0.1:0"
    async with Scheduler(
        host="127.0.0.1", port=port, dashboard_address=status, dashboard=False, allowed_failures=_FAILURES
    ) as scheduler:
        watches = [asyncio.create_task(_kept(one, end)) for one in hands(scheduler.address)]
        ready(scheduler.address)
        await end.wait()
        await asyncio.gather(*watches)


async def _kept(hand: Hand, end: asyncio.Event) -> None:
    """Run a worker, and another one when it has ended, until all is to end."""
    command = [sys.executable, "-P", "-m", "builder.cli", *hand.arguments]
    while not end.is_set():
        process = await asyncio.create_subprocess_exec(*command, env=dict(hand.environ), start_new_session=True)
        ended, over = asyncio.create_task(process.wait()), asyncio.create_task(end.wait())
        await asyncio.wait([ended, over], return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            process.terminate()
            await ended
        over.cancel()
        if not end.is_set():
            await asyncio.sleep(_PAUSE)
