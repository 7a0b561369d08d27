"""Say why targets have a package: what asks for it, and through whom."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click


@click.command("why", help=__doc__)
@click.argument("name", metavar="PACKAGE")
@click.argument("wanted", metavar="[TARGET]...", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_obj
def command(folder: Path, name: str, wanted: tuple[str, ...], as_json: bool) -> None:
    from builder.exports import renderer
    from builder.workflow.project import locked, open_project
    from builder.workflow.why import why

    project = open_project(folder)
    found = why(project, locked(project, wanted), name)
    if as_json:
        rows = [{"target": str(target), **asdict(one)} for target, reasons in found.items() for one in reasons]
        print(json.dumps(rows, indent=2))
        return
    print(renderer("why", "text")(found), end="")
