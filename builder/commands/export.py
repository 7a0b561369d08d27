"""Write the pins of a target as other tools read them: conda, micromamba, pip, uv."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("export", help=__doc__)
@click.argument("wanted", metavar="TARGET")
@click.option(
    "--format", "form", metavar="FORMAT", required=True, help="conda-explicit, conda-env, requirements, pylock, …"
)
@click.pass_obj
def command(folder: Path, wanted: str, form: str) -> None:
    from builder.errors import StackbuildError
    from builder.workflow.export import export
    from builder.workflow.project import open_project, select

    project = open_project(folder)
    targets = select(project.manifest, [wanted])
    if len(targets) > 1:
        raise StackbuildError(
            f"several targets: {wanted}",
            expected="one, as each has its own pins",
            got=", ".join(map(str, targets)),
            next_step=f"stackbuild export --format {form} {targets[0]}",
        )
    print(export(project, targets[0], form), end="")
