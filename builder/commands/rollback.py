"""Let a tag name what it named before: nothing is built or sent."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("rollback", help=__doc__)
@click.argument("tag", metavar="TAG")
@click.argument("wanted", metavar="[TARGET]...", nargs=-1)
@click.option("--to", "repository", metavar="HOST/PATH/{image}", help="There instead of in the project's repository.")
@click.pass_obj
def command(folder: Path, tag: str, wanted: tuple[str, ...], repository: str | None) -> None:
    from builder.commands._moved import say
    from builder.workflow import releases
    from builder.workflow.project import open_project, select

    project = open_project(folder)
    names = releases.names_of(project.manifest, select(project.manifest, wanted), repository or "")
    say(releases.rollback(project, names, tag))
