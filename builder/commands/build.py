"""Build images: only what a change really touches."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from builder.manifest.model import Target
from builder.workflow import fresh, projects

if TYPE_CHECKING:
    from builder.cache import Cache
    from builder.workflow.project import Project


_MOST = 5
"""Targets of other platforms that are named; the rest is counted."""


@click.command("build", help=__doc__)
@click.argument("wanted", metavar="[TARGET]...", nargs=-1)
@click.option(
    "--changed",
    is_flag=True,
    help="Build what differs from the last build in the store (the default); in CI, only targets that differ from the "
    "merge base.",
)
@click.option("--since", metavar="REF", help="Build the targets whose plan differs from that of a git revision.")
@click.option("--pushed", metavar="TAG", help="Build the targets that TAG does not name in the registry as planned.")
@click.option("--to", "repository", metavar="HOST/PATH/{image}", help="With --pushed: look there, as `push --to` does.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.option("--jobs", "-j", type=click.IntRange(1), default=os.cpu_count() or 1, show_default=True)
@click.option("--start/--no-start", "start", default=True, help="Prove that what was built starts (the default).")
@click.option(
    "--cache",
    "place",
    metavar="oci://HOST/REPOSITORY",
    envvar="STACKBUILD_CACHE",
    default="",
    help="Take from there what others built, instead of from the manifest's place.",
)
@click.option("--share", is_flag=True, help="Leave in the cache what was built, and read for it.")
@click.option(
    "--require-signature",
    is_flag=True,
    help="Take nothing unsigned: no base image of a registry, no entry of a cache, though that be trusted.",
)
@click.option(
    "--executor",
    type=click.Choice(["local", "dask"]),
    default="local",
    show_default=True,
    help="Who performs the steps: this machine, or the workers of a Dask scheduler.",
)
@click.option(
    "--scheduler",
    metavar="tls://HOST:PORT",
    envvar="STACKBUILD_SCHEDULER",
    help="Of --executor dask; one to try: stackbuild workers --local 2.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_obj
def command(
    folder: Path,
    wanted: tuple[str, ...],
    changed: bool,
    since: str | None,
    pushed: str | None,
    repository: str | None,
    dry_run: bool,
    jobs: int,
    start: bool,
    place: str,
    share: bool,
    require_signature: bool,
    executor: str,
    scheduler: str | None,
    as_json: bool,
) -> None:
    from builder.workflow.project import find_manifest, open_store

    if repository and pushed is None:
        raise click.UsageError("--to goes with --pushed")
    if executor == "dask" and scheduler is None:
        raise click.UsageError("--executor dask needs --scheduler ADDRESS")
    if since is None and pushed is None and not share and not require_signature:
        manifest, store = find_manifest(folder), open_store()
        built = fresh.unchanged(manifest, store, wanted)
        if built is not None and projects.noted(store, manifest):
            _say(built, as_json)
            return
        store.release()  # The project's own lease follows; with two, this one would wait at a door for the other.
    from builder.commands._targets import here
    from builder.workflow import build, merge_base, since_revision, waivers
    from builder.workflow.project import locked, open_project, select

    project = open_project(folder)
    if dry_run:
        named = locked(project, wanted)
        chosen, skipped = fresh.divide(named, wanted)
        chosen = chosen or list(named)  # What is only planned need not run here.
    else:
        chosen, skipped = here(project, wanted)
    for image, waiver in waivers.standing(project, chosen, datetime.now(UTC).date()):
        if waiver.until is not None:
            print(f"{image}: {waiver}", file=sys.stderr)
    if left := len(select(project.manifest, wanted)) - len(chosen) - len(skipped):
        print(f"not locked here, so not built: {left} targets await a source: stackbuild status", file=sys.stderr)
    if require_signature:
        build.refuse_unsigned(project, chosen)
    if changed and since is None and pushed is None:
        since = merge_base.merge_base(project.manifest.folder, os.environ)
    siblings = chosen
    if since is not None:
        chosen = since_revision.since(project, since, chosen)
        # The tag of an image is of all its platforms, whichever of them differs.
        images = {(one.image, one.variant) for one in chosen}
        siblings = [one for one in siblings if (one.image, one.variant) in images]
    planned = build.plan(project, siblings)
    if pushed is not None:
        from builder.workflow import pushed as registry

        chosen = registry.changed(project, planned, chosen, tag=pushed, repository=repository or "")
    if dry_run:
        _say_plan(build.stale(project, planned, chosen), as_json)
        return
    from builder.commands._progress import progress

    cache = None
    if share or place or project.manifest.cache.place:
        from builder.workflow import caching

        cache = caching.opened(
            project,
            place,
            share=share and executor == "local",
            told=_told,
            require_signature=require_signature,
        )
    elsewhere = None
    if executor == "dask" and scheduler is not None:
        from builder.workflow import elsewhere as others

        elsewhere = others.by_dask(project, scheduler, cache, _told, require_signature=require_signature, sources=share)
    with progress() as shown:
        built = build.build(
            project,
            chosen,
            jobs=jobs,
            watcher=shown,
            progress=shown.fetched,
            planned=planned,
            cache=cache,
            share=share and elsewhere is None,
            elsewhere=elsewhere,
        )
    if cache is not None:
        _say_moved(cache)
    build.remember(project, planned, chosen)
    for target in built.fresh:
        for step in build.unproven(project, planned, target):
            print(f"{target}: {step} is not proven to be reproducible: stackbuild verify {target}", file=sys.stderr)
    if start:
        _prove(project, built.fresh)
    _say(fresh.Built(fresh=built.fresh, kept=built.kept, skipped=tuple(skipped)), as_json)


def _told(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _say_moved(cache: Cache) -> None:
    moved = cache.moved
    if moved.taken:
        print(f"cache: took {moved.taken} results, {moved.taken_bytes / 1e6:.1f} MB", file=sys.stderr)
    if moved.left:
        print(f"cache: left {moved.left} results, {moved.left_bytes / 1e6:.1f} MB", file=sys.stderr)


def _prove(project: Project, targets: Sequence[Target]) -> None:
    """Start each image in a container and hold it to the first point of its contracts."""
    from builder.errors import StackbuildError
    from builder.workflow import check

    broken = []
    for target in targets:
        for contract, outcome in check.starts(project, target):
            answer = outcome.problem or f"started, first answer after {outcome.seconds:.1f} s"
            print(f"{target}: {contract}: {answer}", file=sys.stderr, flush=True)
            broken += [str(target)] if outcome.problem else []
    if broken:
        raise StackbuildError(
            f"built, but does not start: {', '.join(broken)}",
            next_step=f"stackbuild check {broken[0]}, or stackbuild run {broken[0]}",
        )


def _say(built: fresh.Built, as_json: bool) -> None:
    rows: Mapping[str, Sequence[Target]] = {"built": built.fresh, "unchanged": built.kept}
    if as_json:
        table: dict[str, Any] = {name: [str(one) for one in found] for name, found in rows.items()}
        print(json.dumps({**table, "skipped": [str(one) for one in built.skipped]}, indent=2))
        return
    for name, found in rows.items():
        for target in found:
            print(f"{name}: {target}")
    if built.skipped:
        names = ", ".join(map(str, built.skipped[:_MOST]))
        if len(built.skipped) > _MOST:
            names += f" and {len(built.skipped) - _MOST} more"
        print(f"other platforms, name them to build them: {names}", file=sys.stderr)


def _say_plan(actions: Sequence[Any], as_json: bool) -> None:
    if as_json:
        rows = [{"name": one.name, "kind": one.kind, "key": one.plan_key} for one in actions]
        print(json.dumps(rows, indent=2))
        return
    for one in actions:
        print(one.name)
    if not actions:
        print("nothing to do", file=sys.stderr)
