"""Load built images into a Docker daemon, without a registry or a file between."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("load", help=__doc__)
@click.argument("wanted", metavar="TARGET...", nargs=-1, required=True)
@click.option("--tag", "tags", metavar="TAG", multiple=True, help="Tag so instead of as the manifest says; may repeat.")
@click.pass_obj
def command(folder: Path, wanted: tuple[str, ...], tags: tuple[str, ...]) -> None:
    from builder.commands._targets import here
    from builder.workflow import build, save
    from builder.workflow.project import open_project

    project = open_project(folder)
    chosen, _ = here(project, wanted)
    planned = build.plan(project, chosen)
    for name in save.load(project, planned, chosen, tags):
        print(name)
