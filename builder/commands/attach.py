"""Attach bills of materials and provenance to pushed images, as OCI referrers."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click


@click.command("attach", help=__doc__)
@click.argument("wanted", metavar="[TARGET]...", nargs=-1)
@click.option("--sbom", "sboms", metavar="FORMAT", multiple=True, help="cyclonedx, spdx; may repeat.")
@click.option("--provenance", is_flag=True, help="How the image came to be, for SLSA.")
@click.option("--builder", metavar="URI", default="", help="Who built it, as the provenance's builder.id.")
@click.option("--to", "repository", metavar="HOST/PATH/{image}", default="", help="Where the images were pushed to.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_obj
def command(
    folder: Path,
    wanted: tuple[str, ...],
    sboms: tuple[str, ...],
    provenance: bool,
    builder: str,
    repository: str,
    as_json: bool,
) -> None:
    from builder.workflow import build, shipment
    from builder.workflow.attach import Wanted, attach
    from builder.workflow.project import locked, open_project

    project = open_project(folder)
    named = locked(project, wanted)
    planned = build.plan(project, named)
    chosen, left = shipment.ready(project, planned, named, named=bool(wanted))
    for target in left:
        print(f"{target}: not built here, so nothing is attached", file=sys.stderr)
    said = (lambda _: None) if as_json else (lambda line: print(line, file=sys.stderr, flush=True))
    asked = Wanted(sboms=sboms, provenance=provenance, builder=builder)
    found = attach(project, planned, chosen, asked, repository=repository, told=said)
    if as_json:
        rows = [
            {
                "target": str(one.target),
                "subject": f"{one.name}@{one.subject}",
                "type": one.type,
                "reference": f"{one.name}@{one.digest}",
                "new": one.new,
            }
            for one in found
        ]
        print(json.dumps(rows, indent=2))
        return
    for one in found:
        print(f"{one.name}@{one.digest}  {one.type}")
