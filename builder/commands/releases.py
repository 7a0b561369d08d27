"""Show what was pushed from this store: when, under which tags, by digest."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click


@click.command("releases", help=__doc__)
@click.argument("wanted", metavar="[TARGET]...", nargs=-1)
@click.option("--to", "repository", metavar="HOST/PATH/{image}", help="What was pushed there instead.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_obj
def command(folder: Path, wanted: tuple[str, ...], repository: str | None, as_json: bool) -> None:
    from builder.workflow import releases
    from builder.workflow.project import open_project, select

    project = open_project(folder)
    chosen = select(project.manifest, wanted) if wanted or repository else ()
    names = releases.names_of(project.manifest, chosen, repository or "")
    found = releases.recorded(project, names)
    if as_json:
        print(json.dumps([asdict(one) for one in found], indent=2))
        return
    for one in found:
        print(f"{one.time}  {one.name}@{one.digest}  {' '.join(one.tags)}{' (rolled back)' if one.back else ''}")
