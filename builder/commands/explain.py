"""Say why a target would be rebuilt, and from what."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command("explain", help=__doc__)
@click.argument("wanted", metavar="TARGET")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_obj
def command(folder: Path, wanted: str, as_json: bool) -> None:
    from builder.workflow import build, explain, fresh
    from builder.workflow.project import locked, open_project

    project = open_project(folder)
    named = locked(project, [wanted])
    targets = fresh.divide(named, [wanted])[0] or list(named)
    planned = build.plan(project, targets)
    found = {str(target): explain.explain(project, planned, target) for target in targets}
    if as_json:
        rows = {name: [{"action": one.action, "because": one.because} for one in why] for name, why in found.items()}
        print(json.dumps(rows, indent=2))
        return
    for name, reasons in found.items():
        print(f"{name}: " + (f"{len(reasons)} steps" if reasons else "nothing to do"))
        for reason in reasons:
            print(f"  {reason.action}")
            for line in reason.because[:12]:
                print(f"    {line}")
            if len(reason.because) > 12:
                print(f"    and {len(reason.because) - 12} more")
