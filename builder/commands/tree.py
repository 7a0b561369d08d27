"""Show what a target's packages require, from its locks."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command("tree", help=__doc__)
@click.argument("wanted", metavar="TARGET")
@click.option("--inherited", is_flag=True, help="Begin with what its ancestors ask for, too.")
@click.option("--depth", type=click.IntRange(0), default=99, help="How far below what is asked for.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_obj
def command(folder: Path, wanted: str, inherited: bool, depth: int, as_json: bool) -> None:
    from builder.exports import renderer
    from builder.workflow.project import open_project
    from builder.workflow.run import one_target
    from builder.workflow.why import requirements

    project = open_project(folder)
    found = requirements(project, one_target(project, wanted), inherited=inherited, depth=depth)
    if as_json:
        rows = [
            {"kind": kind, "name": branch.name, "version": version, "depth": branch.depth, "again": branch.again}
            for kind, branches in found.items()
            for branch, version in branches
        ]
        print(json.dumps(rows, indent=2))
        return
    print(renderer("tree", "text")(found), end="")
