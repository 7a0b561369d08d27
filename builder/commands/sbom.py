"""Write what is in a built image: a bill of materials with versions, licences, digests and dependencies."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("sbom", help=__doc__)
@click.argument("wanted", metavar="TARGET")
@click.option("--format", "form", metavar="FORMAT", default="cyclonedx", show_default=True, help="cyclonedx, spdx")
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="Where to; stdout if left out.")
@click.pass_obj
def command(folder: Path, wanted: str, form: str, output: Path | None) -> None:
    from builder.workflow import build
    from builder.workflow.project import open_project
    from builder.workflow.run import one_target
    from builder.workflow.sbom import sbom

    project = open_project(folder)
    target = one_target(project, wanted)
    text = sbom(project, build.plan(project, [target]), target, form)
    if output is None:
        print(text, end="")
        return
    from builder.workflow.save import write

    write(output, iter([text.encode()]))
