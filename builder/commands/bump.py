"""Move pins in stacks.toml, to a version or to the newest that fits, and relock what that moves."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from builder.workflow.project import Project


@click.command("bump", help=__doc__)
@click.argument("names", metavar="[NAME[==VERSION]]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every pin, to the newest versions that fit each other.")
@click.option("--security", is_flag=True, help="What an open advisory is about and a newer version has fixed.")
@click.option(
    "--database",
    "places",
    metavar="PATH_OR_URL",
    multiple=True,
    help="With --security: files of OSV entries, or the URL of a service with OSV's API; may be repeated.",
)
@click.option("--image", "images", metavar="IMAGE", multiple=True, help="Only requests of this image; may repeat.")
@click.option("--dry-run", "dry", is_flag=True, help="Solve, and write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_obj
def command(
    folder: Path,
    names: tuple[str, ...],
    everything: bool,
    security: bool,
    places: tuple[str, ...],
    images: tuple[str, ...],
    dry: bool,
    as_json: bool,
) -> None:
    from builder.commands._locked import print_changes, rows, say
    from builder.workflow.bump import bump, parse
    from builder.workflow.project import open_project

    if [everything, security, bool(names)].count(True) != 1:
        raise click.UsageError("name what is to move, or say --all or --security")
    if places and not security:
        raise click.UsageError("--database goes with --security")
    if security and images:
        raise click.UsageError("--security goes for all images: what they share moves as one")
    project = open_project(folder)
    for image in images:
        if image not in project.manifest.images:
            raise click.BadParameter(f"no such image: {image}", param_hint="--image")
    asked = [parse(one) for one in names]
    fixed = _fixed(project, places) if security else {}
    if security and not fixed:
        print("nothing that is open has a fix", file=sys.stderr)
        return
    found = bump(project, asked or [parse(one) for one in fixed], say, images=images, dry=dry)
    for name in sorted(fixed.keys() - {name for change in found.changes for name, _, _ in change.moved}):
        say(
            f"not moved: {name}, fixed in {fixed[name]}: something holds it back, it is newer than "
            "exclude-newer, or it lies in a foreign base image"
        )
    if as_json:
        edits = [{"where": one.where, "old": one.old, "new": one.new} for one in found.edits]
        print(json.dumps({"edits": edits, "locks": rows(found.changes), "left": list(found.left)}, indent=2))
        return
    for edit in found.edits:
        print(f"{edit.where}: {edit.old} → {edit.new}")
    print_changes(found.changes)
    for why in found.left:
        print(f"left as it is: {why}", file=sys.stderr)


def _fixed(project: Project, places: tuple[str, ...]) -> dict[str, str]:
    """What an open advisory is about, and the version that is the first without it; nothing of what has none."""
    from datetime import UTC, datetime

    from builder.advisories.database import open_databases
    from builder.net import Client
    from builder.workflow.audit import Wish, audit
    from builder.workflow.network import databases_of, environ_of
    from builder.workflow.project import locked

    environ = environ_of(project)
    databases = open_databases(databases_of(environ, places), project.store, Client(environ=environ))
    found = audit(project, locked(project, ()), databases, Wish(today=datetime.now(UTC).date()))
    return {package.name: one.fixed for one in found.open if one.fixed for package in one.packages}
