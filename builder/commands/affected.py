"""Say which targets, and which pushed images, hold a package: stackbuild affected 'openssl<3.0.14'."""

from __future__ import annotations

import sys
from pathlib import Path

import click


@click.command("affected", help=__doc__)
@click.argument("package", metavar="NAME[<VERSION]")
@click.option("--kind", default="", metavar="KIND", help="Only packages of this kind: apt, conda, fetch, npm, pip.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_obj
def command(folder: Path, package: str, kind: str, as_json: bool) -> None:
    from builder.exports import renderer
    from builder.workflow.affected import affected, question
    from builder.workflow.project import open_project

    found = affected(open_project(folder), question(package, kind))
    print(renderer("affected", "json" if as_json else "text")(found), end="")
    for name in found.unknown:
        print(f"not known what it holds: {name}", file=sys.stderr)
    if found.targets or found.releases:
        sys.exit(1)
