"""Resolve the manifest into locks, moving as little as possible."""

from __future__ import annotations

import json
import sys
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
    as_json: bool,
) -> None:
    from builder.awaited import awaited, sources
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
        _say(f"{image}: {waiver}")
    left = len(chosen) - len(targets)
    if check:
        problems = lock.check(project, targets)
        if as_json:
            rows = [{"what": one.what, "where": one.where, "next": one.next_step} for one in problems]
            print(json.dumps({"problems": rows}, indent=2))
        raise_all(problems)
        if not as_json:
            print(f"{len(targets)} targets are locked" + (f", {left} await a source" if left else ""))
        return
    for target in chosen:
        if target not in targets:
            _say(f"{target}: left out, awaits {', '.join(sources(project.manifest, target))}; --awaited locks it")
    wish = lock.Wish(upgrade_all=upgrade, upgrade=frozenset(names), refresh_missing=refresh_missing)
    changes = lock.lock(project, targets, wish, _say)
    if as_json:
        print(json.dumps([_row(one) for one in changes], indent=2))
        return
    for change in changes:
        print(f"{change.path}: {change.pins} pins")
        for name, old, new in change.moved[:20]:
            print(f"  {name} {old or '(new)'} → {new or '(gone)'}" if old else f"  {name} {new}")
        if len(change.moved) > 20:
            print(f"  and {len(change.moved) - 20} more")
    if not changes:
        print("nothing moved")


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")  # One write a line, as several threads say something.
    sys.stderr.flush()


def _row(change: object) -> dict[str, object]:
    from builder.workflow.lock import Change

    assert isinstance(change, Change)
    moved = [{"name": name, "old": old, "new": new} for name, old, new in change.moved]
    return {"target": str(change.target), "kind": change.kind, "path": change.path, "moved": moved}
