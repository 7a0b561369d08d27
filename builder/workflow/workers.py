"""Work for a scheduler of Dask's: one worker that joins it, or a scheduler and some workers on this machine."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from builder import exchange, limits, program
from builder.cache import Cache, Told
from builder.errors import StackbuildError
from builder.exchange import File
from builder.executors.clearing import Limit
from builder.executors.order import Shop
from builder.executors.overdue import Patience
from builder.executors.placing import SANDBOX, Amounts, offer
from builder.locks import Locks
from builder.manifest.model import Manifest
from builder.manifest.read import loads
from builder.platforms import MACHINES, NATIVE, runs
from builder.proxies import loopback
from builder.sandbox import Command, Root, run
from builder.store import Store
from builder.workflow import caching, gc
from builder.workflow.network import environ_with
from builder.workflow.project import Project
from builder.workflow.releases import now

_NOT_FOUND = 127
"""What a shell, and the sandbox, ends with where a program is not there."""
_WAITING = 6
"""Orders of a worker that wait for files, beside those that are performed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """How much of this machine a worker has.

    Attributes:
        jobs: processes.
        at_once: steps that are performed at once.
        memory: bytes.
        sandbox: whether it may run programs in the sandbox, if this machine lets it.
        emulation: whether it may run those of another platform, if this machine does.
        patience: seconds that every step may take at least; one that has no end then is begun again elsewhere.
        store_limit: bytes that its store may take; None for as many as there are.
    """

    jobs: int
    at_once: int
    memory: int
    sandbox: bool = True
    emulation: bool = True
    patience: float = 3600.0
    store_limit: int | None = None


def whole(workers: int = 1) -> Share:
    """An equal share of this machine for each of so many workers; two processes if it has two cores, as a step may
    use two while others wait for it."""
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Share(
        jobs=max(min(2, cores), cores // workers), at_once=at_once(max(1, cores // workers)), memory=memory // workers
    )


def guarded(scheduler: str) -> str:
    """The address, if whoever is there is known by a certificate, or is on this machine.

    Raises:
        StackbuildError: it is not: whoever reaches a scheduler has its workers run what he likes.
    """
    try:
        parts = urlsplit(scheduler)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        parts, host, port = urlsplit(""), "", None
    if parts.scheme not in {"tls", "tcp"} or not host or port is None:
        raise StackbuildError(
            f"not a scheduler's address: {scheduler}", expected="tls://HOST:PORT, or tcp://127.0.0.1:PORT"
        )
    if parts.scheme == "tcp" and not loopback(host):
        raise StackbuildError(
            f"anybody could be the scheduler, and have workers run anything: {scheduler}",
            expected=f"tls://{host}:{port}, with certificates in Dask's configuration",
            next_step="docs/distributed.md, TLS",
        )
    return scheduler


def distributed() -> None:
    """Raises: StackbuildError: Dask is not installed."""
    from importlib.util import find_spec

    if find_spec("distributed") is None:
        checkout = program.FOLDER.parent
        environment = checkout / "scripts/environment"
        raise StackbuildError(
            "Dask distributed is not installed",
            next_step=f"{environment} dask, then {checkout}/.venv/dask/bin/stackbuild in stackbuild's place"
            if environment.is_file()
            else "pip install 'stackbuild[dask]' where stackbuild is",
        )


def resources(store: Store, share: Share) -> Amounts:
    """What a worker offers."""
    sandbox = share.sandbox and _sandbox(store)
    wanted = sorted(MACHINES.values()) if share.emulation else [NATIVE]
    platforms = [one for one in wanted if runs(one)] if sandbox else []
    return offer(program.identity(), share.memory, platforms, share.at_once)


def at_once(cores: int) -> int:
    """How many steps a worker performs at once: they wait for the disk and for other programs, too."""
    return 2 * cores


def join(scheduler: str, name: str, store: Store, share: Share, told: Told) -> None:
    """Be a worker until the scheduler or a signal ends it.

    Raises:
        StackbuildError: the address is none, or not guarded; Dask is not installed.
    """
    distributed()
    guarded(scheduler)
    from builder.executors import dask_worker
    from builder.executors.bench import Staff, bench

    def opened(shop: Shop, store: Store) -> tuple[Manifest, Cache]:
        registry = caching.at(shop.place, environ_with(shop.plain_http))
        exchange.take(registry, store, [File(shop.manifest, False, shop.size)])
        text = limits.read(store.source(shop.manifest), limits.MANIFEST, "stacks manifest").decode("utf-8", "replace")
        manifest = loads(text, store.path / "stacks.toml")
        project = Project(manifest=manifest, locks=Locks(store.path), store=store)
        cache = caching.opened(project, shop.place, share=True, told=told, require_signature=shop.require_signature)
        if cache is None:
            raise StackbuildError("this worker is offline, and builds move through the cache", where=name)
        return manifest, cache

    store.sweep()
    parts = urlsplit(scheduler)
    worker = dask_worker.Offer(
        name=name,
        resources=resources(store, share),
        threads=share.at_once + _WAITING,
        folder=str(store.path / "dask"),
        host=_bracketed(parts.hostname or "") if parts.scheme == "tcp" else None,  # Whoever reaches it, runs anything.
    )
    offered = ", ".join(sorted(one for one in worker.resources if one in {SANDBOX, *MACHINES.values()})) or "no sandbox"
    told(f"worker {name}: stackbuild {program.identity()}, {share.jobs} cores, {share.memory / 1e9:.1f} GB, {offered}")
    staff = Staff(
        name=name,
        opened=opened,
        now=now,
        at_once=share.at_once,
        patience=Patience(seconds=share.patience),
        limit=_limit(store, share.store_limit),
    )
    with bench(store, staff, share.jobs) as made:
        dask_worker.serve(scheduler, made, worker)


def _limit(store: Store, size: int | None) -> Limit | None:
    if size is None:
        return None
    return Limit(exceeded=lambda: gc.exceeds(store, size), clear=lambda: gc.shrink(store, size))


def _bracketed(host: str) -> str:
    """As hosts stand in URLs (RFC 3986 §3.2.2)."""
    return f"[{host}]" if ":" in host else host


def local(stores: Sequence[Path], port: int, share: Share, ready: Callable[[str], None]) -> None:
    """A scheduler, and a worker for each of the stores, which may be one and the same, until a signal comes.

    Raises:
        StackbuildError: Dask is not installed.
    """
    distributed()
    from builder.executors import dask_local

    def hands(address: str) -> list[dask_local.Hand]:
        return [
            dask_local.Hand(
                arguments=("workers", "--scheduler", address, "--name", str(number), *_arguments(share)),
                environ={**os.environ, "STACKBUILD_STORE": str(store)},
            )
            for number, store in enumerate(stores, 1)
        ]

    dask_local.serve(port, hands, ready)


def _arguments(share: Share) -> list[str]:
    """What `stackbuild workers` is told of a share."""
    numbers = {"jobs": share.jobs, "at-once": share.at_once, "memory": share.memory, "patience": share.patience}
    told = [word for name, number in numbers.items() for word in (f"--{name}", str(number))]
    told += [] if share.sandbox else ["--no-sandbox"]
    told += [] if share.emulation else ["--no-emulation"]
    return told if share.store_limit is None else [*told, "--store-limit", str(share.store_limit)]


def _sandbox(store: Store) -> bool:
    """Whether this machine lets us make sandboxes: an empty root is mounted and entered, in which there is nothing."""
    with store.workspace() as workspace:
        try:
            return run(Root(workspace=workspace), Command(argv=("/nothing",))) == _NOT_FOUND
        except StackbuildError:
            return False
