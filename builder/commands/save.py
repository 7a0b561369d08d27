"""Write built images into one file, for skopeo, podman or `docker load`."""

from __future__ import annotations

import sys
from pathlib import Path

import click


@click.command("save", help=__doc__)
@click.argument("wanted", metavar="TARGET...", nargs=-1, required=True)
@click.option("--format", "form", type=click.Choice(["oci", "docker"]), default="oci", show_default=True)
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="Where to; stdout if left out.")
@click.option("--tag", "tags", metavar="TAG", multiple=True, help="Tag so instead of as the manifest says; may repeat.")
@click.pass_obj
def command(folder: Path, wanted: tuple[str, ...], form: str, output: Path | None, tags: tuple[str, ...]) -> None:
    from builder.commands._targets import here
    from builder.errors import StackbuildError
    from builder.workflow import build, save
    from builder.workflow.project import open_project

    if output is None and sys.stdout.isatty():
        raise StackbuildError("an archive is nothing for a terminal", next_step="stackbuild save -o FILE, or a pipe")
    project = open_project(folder)
    chosen, _ = here(project, wanted)
    planned = build.plan(project, chosen)
    names, data = save.archive(project, planned, chosen, "docker" if form == "docker" else "oci", tags)
    if output is None:
        for chunk in data:
            sys.stdout.buffer.write(chunk)
    else:
        save.write(output, data)
    for name in names:
        print(name, file=sys.stderr)
