"""Compare targets, git revisions, the working tree and pushed images: packages, layers, bytes to push."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from builder.workflow.advice import Question
    from builder.workflow.project import Project


@click.command("diff", help=__doc__)
@click.argument("a", metavar="[A]", default="")
@click.argument("b", metavar="[B]", default="")
@click.option("--format", "form", metavar="FORMAT", default="text", show_default=True, help="text, json, markdown")
@click.option("--markdown", "form", flag_value="markdown", help="The same as --format markdown.")
@click.option("--json", "form", flag_value="json", help="The same as --format json.")
@click.option("--since", metavar="REF", help="The working tree against a git revision: the same as REF for A.")
@click.option(
    "--advisories",
    "places",
    metavar="PATH_OR_URL",
    multiple=True,
    help="Say which advisories it fixes: databases as `audit` takes them; may be repeated.",
)
@click.option("--exit-code", is_flag=True, help="Exit with 1 if they differ, as git diff does.")
@click.pass_obj
def command(
    folder: Path, a: str, b: str, form: str, since: str | None, places: tuple[str, ...], exit_code: bool
) -> None:
    from builder.exports import renderer
    from builder.workflow.diff import diff
    from builder.workflow.project import open_project

    if since is not None and a:
        raise click.UsageError("--since REF stands for A: give one of them")
    render = renderer("diff", form)
    project = open_project(folder)
    found = diff(project, since or a, b, _question(project, places))
    print(render(found), end="")
    if exit_code and found.differences:
        sys.exit(1)


def _question(project: Project, places: tuple[str, ...]) -> Question | None:
    """Who is asked about advisories: what is named, else what this machine names; nobody without either."""
    from datetime import UTC, datetime

    from builder.offline import offline
    from builder.workflow.network import databases_of, environ_of

    environ = environ_of(project)
    asked = databases_of(environ, places)
    if not places and offline(environ):
        asked = tuple(one for one in asked if "://" not in one)  # A comparison does without, unless it is asked for.
    if not asked:
        return None
    from builder.advisories.database import open_databases
    from builder.net import Client
    from builder.workflow.advice import Question

    databases = open_databases(asked, project.store, Client(environ=environ))
    return Question(databases=databases, today=datetime.now(UTC).date())
