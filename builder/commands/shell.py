"""Open a shell in a built image, or in the root where a step failed."""

from __future__ import annotations

import sys
from pathlib import Path

import click


@click.command("shell", help=__doc__)
@click.argument("wanted", metavar="[TARGET]", required=False)
@click.option("--at", "action", metavar="ACTION", help="The root as it was when this step failed; its error names it.")
@click.option("--root", "as_root", is_flag=True, help="As root instead of the image's user.")
@click.argument("argv", metavar="[-- COMMAND]...", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def command(folder: Path, wanted: str | None, action: str | None, as_root: bool, argv: tuple[str, ...]) -> None:
    from builder.workflow import run
    from builder.workflow.project import open_project, open_store

    if action is not None:
        sys.exit(run.shell_at(open_store(), action, (wanted, *argv) if wanted else argv))
    if wanted is None:
        raise click.UsageError("name a target, or a failed step with --at")
    project = open_project(folder)
    sys.exit(run.shell(project, run.one_target(project, wanted), argv, as_root=as_root))
