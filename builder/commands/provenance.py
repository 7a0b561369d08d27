"""Write how a built image came to be: SLSA provenance, with the digests of locks, overlays and base images."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("provenance", help=__doc__)
@click.argument("wanted", metavar="TARGET")
@click.option("--builder", metavar="URI", default="", help="Who built it, as SLSA's builder.id.")
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="Where to; stdout if left out.")
@click.pass_obj
def command(folder: Path, wanted: str, builder: str, output: Path | None) -> None:
    from builder.exports import renderer
    from builder.workflow import build
    from builder.workflow.project import open_project
    from builder.workflow.provenance import provenance
    from builder.workflow.run import one_target

    project = open_project(folder)
    target = one_target(project, wanted)
    text = renderer("provenance", "slsa")(provenance(project, build.plan(project, [target]), target, builder=builder))
    if output is None:
        print(text, end="")
        return
    from builder.workflow.save import write

    write(output, iter([text.encode()]))
