"""Have a build's stale actions performed by workers; what they came to is taken from the cache, as from any build."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from builder import planner, program
from builder.action import Action
from builder.cache import Cache, Told
from builder.digest import Digest
from builder.errors import StackbuildError
from builder.executors.order import Shop
from builder.executors.step import Watcher
from builder.plan import Plan, intact
from builder.transports.upload import Upload
from builder.workflow import took, workers
from builder.workflow.project import Project

Elsewhere = Callable[[Plan, frozenset[Digest], Sequence[Action], Watcher], None]
"""Performs the stale actions of a plan, and brings what the wanted ones came to into the store."""


def by_dask(
    project: Project,
    scheduler: str,
    cache: Cache | None,
    told: Told,
    *,
    require_signature: bool = False,
    sources: bool = False,
) -> Elsewhere:
    """Workers of a Dask scheduler.

    Args:
        sources: whether they leave in the cache the pinned files that they read, too.

    Raises:
        StackbuildError: the address is none, or not guarded; Dask is not installed; there is no cache, or nobody whose
            entries count.
    """
    workers.distributed()
    workers.guarded(scheduler)
    if cache is None:
        raise StackbuildError(
            "no cache for the workers' files to go through",
            next_step="--cache oci://HOST/REPOSITORY, or place in [cache] of stacks.toml",
        )
    if not (cache.trust.registry or cache.trust.keys):
        raise StackbuildError(
            "nothing that workers come to would be believed",
            expected="keys in [cache] of stacks.toml, with which the workers sign, or trusted = true",
            next_step="docs/cache.md, Who is believed",
        )
    manifest = project.manifest.path.read_bytes()
    shop = Shop(
        program=program.identity(),
        manifest=Digest.of(manifest),
        size=len(manifest),
        place=f"oci://{cache.registry.name}",
        plain_http=tuple(project.manifest.project.plain_http),
        require_signature=require_signature,
        sources=sources,
    )

    def estimate(action: Action) -> int:
        seconds = took.expected(project, action.plan_key, action.name, took.size(action))
        return round(1000 * (planner.effort(action) if seconds is None else seconds))

    def perform(plan: Plan, stale: frozenset[Digest], wanted: Sequence[Action], watcher: Watcher) -> None:
        if not stale:
            return
        from builder.executors import dask

        Upload(cache.registry).data(shop.manifest, manifest)
        yard = dask.Yard(
            scheduler=scheduler,
            shop=shop,
            cache=cache,
            told=told,
            estimate=estimate,
            took=partial(took.record, project.store),
        )
        dask.execute(plan, stale, project.store, yard, watcher)
        cache.fill(plan, wanted)
        for end in wanted:
            if not intact(project.store, end.plan_key):
                raise StackbuildError(
                    f"built, but not taken from the cache: {end.name}",
                    where=cache.registry.name,
                    expected="an entry signed by one of keys in [cache] of stacks.toml, with all its files",
                    next_step="give the workers such a key in STACKBUILD_CACHE_KEY, then run the same command again",
                )

    return perform
