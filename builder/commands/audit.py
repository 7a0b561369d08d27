"""Say which advisories are open for what targets hold, by their locks: a database in OSV's format, or a service."""

from __future__ import annotations

import sys
from pathlib import Path

import click

_LEVELS = ("low", "medium", "high", "critical")


@click.command("audit", help=__doc__)
@click.argument("wanted", metavar="[TARGET]...", nargs=-1)
@click.option(
    "--database",
    "places",
    metavar="PATH_OR_URL",
    multiple=True,
    help="Files of OSV entries (all.zip, a folder), or the URL of a service with OSV's API; may be repeated.",
)
@click.option("--ignore", metavar="ID", multiple=True, help="An advisory that does not count now; may be repeated.")
@click.option("--severity", "least", type=click.Choice(_LEVELS), help="Leave out what is known to be less severe.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_obj
def command(
    folder: Path, wanted: tuple[str, ...], places: tuple[str, ...], ignore: tuple[str, ...], least: str, as_json: bool
) -> None:
    from datetime import UTC, datetime

    from builder.advisories.database import open_databases
    from builder.exports import renderer
    from builder.net import Client
    from builder.workflow.audit import Wish, audit
    from builder.workflow.network import databases_of, environ_of
    from builder.workflow.project import locked, open_project

    project = open_project(folder)
    environ = environ_of(project)
    found = audit(
        project,
        locked(project, wanted),
        open_databases(databases_of(environ, places), project.store, Client(environ=environ)),
        Wish(today=datetime.now(UTC).date(), ignore=frozenset(ignore), least=least or ""),
    )
    print(renderer("audit", "json" if as_json else "text")(found), end="")
    if found.open:
        sys.exit(1)
