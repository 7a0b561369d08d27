"""Print the JSON Schema of stacks.toml, for editors."""

from __future__ import annotations

import click


@click.command("schema", help=__doc__)
def command() -> None:
    from builder.manifest.schema import text

    print(text(), end="")
