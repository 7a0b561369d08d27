"""Show every target: locked? built? stale because of what?"""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command("status", help=__doc__)
@click.argument("wanted", metavar="[TARGET]...", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("--markdown", is_flag=True, help="Print a Markdown table, for a README.")
@click.pass_obj
def command(folder: Path, wanted: tuple[str, ...], as_json: bool, markdown: bool) -> None:
    from builder.exports import renderer
    from builder.fetching import gigabytes
    from builder.workflow import status
    from builder.workflow.project import open_project, select

    project = open_project(folder)
    states = list(status.status(project, select(project.manifest, wanted)))
    if markdown:
        print(renderer("status", "markdown")(states), end="")
        return
    if as_json:
        rows = [
            {
                "target": str(one.target),
                "locked": one.locked,
                "awaits": list(one.awaits),
                "built": one.built,
                "because": one.because,
                "size": one.size,
                "unproven": list(one.unproven),
                "checked": {
                    name: {runtime: score._asdict() for runtime, score in ran.items()}
                    for name, ran in one.checked.items()
                },
            }
            for one in states
        ]
        print(json.dumps(rows, indent=2))
        return
    width = max(len(str(one.target)) for one in states)
    for one in states:
        size = gigabytes(one.size) if one.size else ""
        print(f"{one.target!s:{width}}  locked {one.locked:4} built {one.built:6} {size or one.because}".rstrip())
        for step in one.unproven:
            print(f"{'':{width}}  not proven to be reproducible: {step}")
