"""Build again under other circumstances, and compare bit by bit."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click


@click.command("verify", help=__doc__)
@click.argument("wanted", metavar="[TARGET]...", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_obj
def command(folder: Path, wanted: tuple[str, ...], as_json: bool) -> None:
    from builder.commands._targets import here
    from builder.errors import StackbuildError
    from builder.workflow import verify
    from builder.workflow.project import open_project

    project = open_project(folder)
    targets, _ = here(project, wanted)
    if not verify.faketime():
        print("warning: the clock is not shifted, as libfaketime is not installed", file=sys.stderr)
    verdicts = verify.verify(project, targets)
    if as_json:
        rows = [{"target": str(one.target), "differences": one.differences, "layers": one.layers} for one in verdicts]
        print(json.dumps(rows, indent=2))
    different = [str(one.target) for one in verdicts if one.differences]
    for one in verdicts:
        if not as_json:
            print(f"{'DIFFERENT' if one.differences else 'identical'}  {one.target} ({one.layers} layers)")
            for line in one.differences:
                print(f"    {line}")
    if different:
        raise StackbuildError(f"not reproducible: {', '.join(different)}")
