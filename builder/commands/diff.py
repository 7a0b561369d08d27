"""Compare targets, git revisions, the working tree and pushed images: packages, layers, bytes to push."""

from __future__ import annotations

import sys
from pathlib import Path

import click


@click.command("diff", help=__doc__)
@click.argument("a", metavar="[A]", default="")
@click.argument("b", metavar="[B]", default="")
@click.option("--format", "form", metavar="FORMAT", default="text", show_default=True, help="text, json, markdown")
@click.option("--markdown", "form", flag_value="markdown", help="The same as --format markdown.")
@click.option("--json", "form", flag_value="json", help="The same as --format json.")
@click.option("--since", metavar="REF", help="The working tree against a git revision: the same as REF for A.")
@click.option("--exit-code", is_flag=True, help="Exit with 1 if they differ, as git diff does.")
@click.pass_obj
def command(folder: Path, a: str, b: str, form: str, since: str | None, exit_code: bool) -> None:
    from builder.exports import renderer
    from builder.workflow.diff import diff
    from builder.workflow.project import open_project

    if since is not None and a:
        raise click.UsageError("--since REF stands for A: give one of them")
    render = renderer("diff", form)
    found = diff(open_project(folder), since or a, b)
    print(render(found), end="")
    if exit_code and found.differences:
        sys.exit(1)
