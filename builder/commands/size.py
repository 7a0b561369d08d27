"""Show what makes a built image big: by package, layer, folder and file."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("size", help=__doc__)
@click.argument("wanted", metavar="TARGET")
@click.option("--format", "form", metavar="FORMAT", default="table", show_default=True, help="table, json, html")
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="Where to; stdout if left out.")
@click.pass_obj
def command(folder: Path, wanted: str, form: str, output: Path | None) -> None:
    from builder.exports import renderer
    from builder.workflow.project import open_project
    from builder.workflow.run import one_target
    from builder.workflow.size import size

    render = renderer("size", form)
    project = open_project(folder)
    text = render(size(project, one_target(project, wanted)))
    if output is None:
        print(text, end="")
        return
    from builder.workflow.save import write

    write(output, iter([text.encode()]))
