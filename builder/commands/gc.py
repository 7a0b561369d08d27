"""Remove from the store, or from a remote cache, what nothing needs any more."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from builder.weighing import Weight
    from builder.workflow.roots import Patience

_MANIFEST = "manifest"


@click.command("gc", help=__doc__)
@click.option("--dry-run", is_flag=True, help="Say what would go, and remove nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option(
    "--keep-days", "days", type=click.IntRange(0, 36500), help="Instead of what [retention] of the manifests says."
)
@click.option(
    "--grace", type=click.FloatRange(0), default=24, show_default=True, help="Hours for which new things are left."
)
@click.option("--wait", type=click.FloatRange(0), default=0, help="Seconds to wait for a store that is in use.")
@click.option(
    "--max-size",
    "size",
    metavar="SIZE",
    help="Such as 20GB: beyond it, what was used least recently goes too.  [$STACKBUILD_MAX_SIZE]",
)
@click.option("--forget", is_flag=True, help="Forget projects whose manifest is gone at once.")
@click.option("--as-built", is_flag=True, help="Of projects that cannot be planned, keep what they built last.")
@click.option(
    "--cache",
    "place",
    metavar="[oci://HOST/REPOSITORY]",
    is_flag=False,
    flag_value=_MANIFEST,
    help="Collect there, or at the manifest's place, instead of in the store.",
)
@click.option("--keep", "revisions", metavar="REF", multiple=True, help="With --cache: keep that revision's too.")
@click.pass_context
def command(
    ctx: click.Context,
    dry_run: bool,
    as_json: bool,
    days: int | None,
    grace: float,
    wait: float,
    size: str | None,
    forget: bool,
    as_built: bool,
    place: str | None,
    revisions: tuple[str, ...],
) -> None:
    from datetime import UTC, datetime

    from builder.workflow.roots import Patience

    _refuse_mixtures(ctx, place)
    patience = Patience(now=datetime.now(UTC), days=days, forget=forget, as_built=as_built)
    if place is not None:
        _cache(ctx.obj, "" if place == _MANIFEST else place, revisions, patience, dry_run=dry_run, as_json=as_json)
        return
    from builder.errors import StackbuildError
    from builder.workflow import gc
    from builder.workflow.project import find_manifest, open_store

    try:
        here: Path | None = find_manifest(ctx.obj)
    except StackbuildError:
        here = None  # The projects that the store knows are enough.
    limit = _limit(size)
    wish = gc.Wish(patience=patience, dry_run=dry_run, grace=grace * 3600, wait=wait, limit=limit)
    found = gc.collect(open_store(held=False), here, wish)
    if limit is not None and found.kept_bytes > limit:
        print(f"larger than {_size(limit)}: what projects built last is never evicted", file=sys.stderr)
    if as_json:
        rooms = [asdict(one) for one in found.rooms]
        states = {str(manifest): state for manifest, state in found.projects}
        print(json.dumps({"dry_run": dry_run, "rooms": rooms, "projects": states}, indent=2))
        return
    for manifest, state in found.projects:
        print(f"{manifest}: {_STATES[state]}", file=sys.stderr)
    _say(found.rooms, "would go" if dry_run else "gone")


def _limit(text: str | None) -> int | None:
    """Bytes of the size that is named on the command line, in the environment, or in the user's configuration."""
    from builder.errors import StackbuildError
    from builder.user_config import environment
    from builder.weighing import size_of

    said = text if text is not None else environment(os.environ).get("STACKBUILD_MAX_SIZE", "")
    found = size_of(said)
    if said and found is None:
        raise StackbuildError(f"not a size: {said}", expected="a number and kB, MB, GB, TB, kiB, MiB, GiB or TiB")
    return found


_STATES = {
    "current": "what its locks need is kept",
    "as built": "cannot be planned; what it built last is kept",
    "gone": "not there; what it built last is kept for now",
    "forgotten": "not there; forgotten",
}


def _refuse_mixtures(ctx: click.Context, place: str | None) -> None:
    """Raises: click.UsageError: the cache is collected from and an option is for the store, or the other way round."""
    for name in ("grace", "wait", "size", "forget", "as_built") if place is not None else ("revisions",):
        if ctx.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT:
            option = {"revisions": "--keep", "size": "--max-size"}.get(name, f"--{name.replace('_', '-')}")
            raise click.UsageError(f"{option} goes with{'out' if place is not None else ''} --cache")


def _say(rooms: Sequence[Weight], gone: str) -> None:
    rows = [(one.room, one.kept, one.kept_bytes, one.freed, one.freed_bytes) for one in rooms]
    kept, kept_bytes, freed, freed_bytes = (sum(column) for column in list(zip(*rows, strict=True))[1:] or [()] * 4)
    rows.append(("in all", kept, kept_bytes, freed, freed_bytes))
    print(f"{'':9} {'kept':>18} {gone:>18}")
    for row in rows:
        print(f"{row[0]:9} {row[1]:7} {_size(row[2]):>10} {row[3]:7} {_size(row[4]):>10}")


def _size(size: int) -> str:
    for unit, name in ((1e9, "GB"), (1e6, "MB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size / 1e3:.1f} kB"


def _cache(
    folder: Path, place: str, revisions: tuple[str, ...], patience: Patience, *, dry_run: bool, as_json: bool
) -> None:
    from builder.workflow import gc_cache
    from builder.workflow.project import open_project

    found = gc_cache.collect(open_project(folder), place, revisions, patience, dry_run=dry_run)
    if as_json:
        print(json.dumps({"dry_run": dry_run, **asdict(found)}, indent=2))
        return
    for reason, what in _REASONS.items():
        print(f"{len(found.kept[reason]):6} kept: {what}")
    gone = "would go" if dry_run else "gone"
    print(f"{len(found.deleted):6} {gone}: {_size(found.freed_bytes)} for the registry to collect")
    if found.kept["foreign"]:
        print(f"not ours, and left alone: {', '.join(found.kept['foreign'][:10])}", file=sys.stderr)


_REASONS = {
    "plans": "of the locks",
    "releases": "images of releases",
    "young": "young",
    "shared": "under another name that stays",
    "foreign": "not ours",
}
