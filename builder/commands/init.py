"""Write a small manifest and overlays for a repository of your own."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("init", help=__doc__)
@click.pass_obj
def command(folder: Path) -> None:
    from builder.templates import folder as templates
    from builder.workflow.init import init

    started = init(folder, templates=templates())
    for path in started.written:
        print(f"wrote {path}")
    for path in started.kept:
        print(f"kept {path}, which was there")
    print("next: stackbuild lock && stackbuild build && stackbuild check jupyter")
