"""Move pins in stacks.toml, to a version or to the newest that fits, and relock what that moves."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click


@click.command("bump", help=__doc__)
@click.argument("names", metavar="[NAME[==VERSION]]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every pin, to the newest versions that fit each other.")
@click.option("--image", "images", metavar="IMAGE", multiple=True, help="Only requests of this image; may repeat.")
@click.option("--dry-run", "dry", is_flag=True, help="Solve, and write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_obj
def command(
    folder: Path, names: tuple[str, ...], everything: bool, images: tuple[str, ...], dry: bool, as_json: bool
) -> None:
    from builder.commands._locked import print_changes, rows, say
    from builder.workflow.bump import bump, parse
    from builder.workflow.project import open_project

    if everything == bool(names):
        raise click.UsageError("name what is to move, or say --all")
    project = open_project(folder)
    for image in images:
        if image not in project.manifest.images:
            raise click.BadParameter(f"no such image: {image}", param_hint="--image")
    found = bump(project, [parse(one) for one in names], say, images=images, dry=dry)
    if as_json:
        edits = [{"where": one.where, "old": one.old, "new": one.new} for one in found.edits]
        print(json.dumps({"edits": edits, "locks": rows(found.changes), "left": list(found.left)}, indent=2))
        return
    for edit in found.edits:
        print(f"{edit.where}: {edit.old} → {edit.new}")
    print_changes(found.changes)
    for why in found.left:
        print(f"left as it is: {why}", file=sys.stderr)
