"""Draw the families as a Mermaid chart."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("graph", help=__doc__)
@click.pass_obj
def command(folder: Path) -> None:
    from builder.exports.mermaid import mermaid
    from builder.manifest.read import read
    from builder.workflow.project import find_manifest

    print(mermaid(read(find_manifest(folder))), end="")
