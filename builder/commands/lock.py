"""Resolve the manifest into locks, moving as little as possible."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import click


@click.command("lock", help=__doc__)
@click.argument("wanted", metavar="[TARGET]...", nargs=-1)
@click.option("--check", is_flag=True, help="Only say whether the locks answer the manifest; needs no network.")
@click.option("--upgrade", is_flag=True, help="Let every pin move.")
@click.option(
    "--upgrade-package", "-P", "names", metavar="NAME", multiple=True, help="Let this pin move, and what it forces."
)
@click.option("--awaited", "everywhere", is_flag=True, help="Lock also what waits for a source (`awaits`).")
@click.option("--refresh-missing", is_flag=True, help="Move only pins whose file no source has any more.")
@click.option(
    "--require-signature",
    is_flag=True,
    help="Refuse base images of registries that no key of `require-signature` has signed; look at all again.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_obj
def command(
    folder: Path,
    wanted: tuple[str, ...],
    check: bool,
    upgrade: bool,
    names: tuple[str, ...],
    everywhere: bool,
    refresh_missing: bool,
    require_signature: bool,
    as_json: bool,
) -> None:
    from builder.awaited import awaited, sources
    from builder.commands._locked import print_changes, rows, say
    from builder.errors import raise_all
    from builder.workflow import lock, waivers
    from builder.workflow.project import open_project, select

    project = open_project(folder)
    chosen = select(project.manifest, wanted)
    waiting = {one: awaited(project.manifest, project.locks, one) for one in chosen}
    if check:
        targets = tuple(one for one in chosen if not waiting[one])
    else:
        targets = tuple(one for one in chosen if everywhere or not sources(project.manifest, one))
    for image, waiver in waivers.standing(project, targets, datetime.now(UTC).date()):
        say(f"{image}: {waiver}")
    left = len(chosen) - len(targets)
    if check:
        problems = lock.check(project, targets, require_signature=require_signature)
        if as_json:
            told = [{"what": one.what, "where": one.where, "next": one.next_step} for one in problems]
            print(json.dumps({"problems": told}, indent=2))
        raise_all(problems)
        if not as_json:
            said = "1 target is locked" if len(targets) == 1 else f"{len(targets)} targets are locked"
            print(said + (f", {left} {'awaits' if left == 1 else 'await'} a source" if left else ""))
        return
    for target in chosen:
        if target not in targets:
            say(f"{target}: left out, awaits {', '.join(sources(project.manifest, target))}; --awaited locks it")
    wish = lock.Wish(
        upgrade_all=upgrade,
        upgrade=frozenset(names),
        refresh_missing=refresh_missing,
        require_signature=require_signature,
    )
    changes = lock.lock(project, targets, wish, say)
    if as_json:
        print(json.dumps(rows(changes), indent=2))
    else:
        print_changes(changes)
