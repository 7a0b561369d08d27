"""Work for a Dask scheduler, which `stackbuild build --executor dask` sends its steps to."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

import click


@click.command("workers", help=__doc__)
@click.option(
    "--local", "count", type=click.IntRange(0, 64), metavar="N", help="A scheduler and N workers here, for trying it."
)
@click.option("--own-stores", is_flag=True, help="With --local: not in your store, but in one for each worker.")
@click.option("--scheduler", metavar="tls://HOST:PORT", help="Be one worker of this scheduler.")
@click.option("--port", type=click.IntRange(0, 65535), default=8786, show_default=True, help="With --local.")
@click.option("--name", default=socket.gethostname, show_default="the host's name", help="Of the worker, in messages.")
@click.option("--jobs", "-j", type=click.IntRange(1), help="Cores for each worker; by default an equal share.")
@click.option("--at-once", type=click.IntRange(1), metavar="STEPS", help="For each worker; by default two for a core.")
@click.option("--memory", type=click.IntRange(1), metavar="BYTES", help="For each worker; likewise.")
@click.option(
    "--patience",
    type=click.FloatRange(1),
    default=3600.0,
    show_default=True,
    metavar="SECONDS",
    help="A step that has no end after so long, and after 30 times what is expected, is begun again elsewhere.",
)
@click.option(
    "--store-limit",
    type=click.IntRange(0),
    metavar="BYTES",
    help="Empty the worker's store between two steps when it takes more: the cache has all of it.",
)
@click.option("--no-sandbox", is_flag=True, help="Take no steps that run programs, though this machine could.")
@click.option("--no-emulation", is_flag=True, help="Take no such steps of another platform than this machine's own.")
def command(
    count: int | None,
    own_stores: bool,
    scheduler: str | None,
    port: int,
    name: str,
    jobs: int | None,
    at_once: int | None,
    memory: int | None,
    patience: float,
    store_limit: int | None,
    no_sandbox: bool,
    no_emulation: bool,
) -> None:
    if (count is None) == (scheduler is None):
        raise click.UsageError("one of --local N and --scheduler ADDRESS is needed")
    if own_stores and count is None:
        raise click.UsageError("--own-stores is for --local N: else STACKBUILD_STORE says where a worker works")
    if count is not None and store_limit is not None and not own_stores:
        raise click.UsageError("--store-limit empties a worker's store, not yours: --own-stores")
    from builder.store import default_path
    from builder.workflow import workers
    from builder.workflow.project import open_store

    share = workers.whole(count or 1)
    share = workers.Share(
        jobs=jobs or share.jobs,
        at_once=at_once or (workers.at_once(jobs) if jobs else share.at_once),
        memory=memory or share.memory,
        sandbox=not no_sandbox,
        emulation=not no_emulation,
        patience=patience,
        store_limit=store_limit,
    )
    if scheduler is not None:
        workers.join(scheduler, name, open_store(held=False), share, _say)
        return
    assert count is not None
    yours = default_path(os.environ)
    stores = [
        yours.with_name(f"{yours.name}-workers") / str(one) if own_stores else yours for one in range(1, count + 1)
    ]
    workers.local(stores, port, share, lambda address: _ready(address, stores))


def _ready(address: str, stores: Sequence[Path]) -> None:
    _say(f"where they work: {', '.join(sorted({str(one) for one in stores})) or 'nowhere yet'}; ^C ends them")
    print(f"stackbuild build --executor dask --scheduler {address}", flush=True)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
