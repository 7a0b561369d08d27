"""Prove that a built image keeps its contract, in containers started natively."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click


@click.command("check", help=__doc__)
@click.argument("wanted", metavar="TARGET", nargs=1)
@click.option("--contract", "names", metavar="NAME", multiple=True, help="This contract instead of the layout's.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_obj
def command(folder: Path, wanted: str, names: tuple[str, ...], as_json: bool) -> None:
    from builder.commands._targets import here
    from builder.errors import StackbuildError
    from builder.workflow import check
    from builder.workflow.project import open_project

    project = open_project(folder)
    targets, _ = here(project, [wanted])
    broken, rows = 0, []
    for target in targets:
        if not (names or check.contracts(project, target)):
            print(f"{target}: no contract applies", file=sys.stderr)
        for contract, outcome in check.check(project, target, names):
            row = {"target": str(target), "contract": contract, "name": outcome.name, "problem": outcome.problem}
            rows.append(row)
            broken += bool(outcome.problem)
            if not as_json:
                took = f" ({outcome.seconds:.1f} s to the first answer)" if outcome.seconds else ""
                print(f"{'BROKEN' if outcome.problem else 'kept'}  {contract}: {outcome.name}{took}", flush=True)
                for line in outcome.problem.splitlines():
                    print(f"        {line}")
    if as_json:
        print(json.dumps(rows, indent=2))
    if broken:
        raise StackbuildError(f"{broken} of {len(rows)} points of the contract are not kept: {wanted}")
