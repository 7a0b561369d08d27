"""Write a target, an image or the family as other tools read it: conda, pip, uv, Kubeflow, OpenShift, GitHub."""

from __future__ import annotations

import sys
from pathlib import Path

import click


@click.command("export", help=__doc__)
@click.argument("words", metavar="[FORMAT] [TARGET]...", nargs=-1)
@click.option(
    "--format",
    "form",
    metavar="FORMAT",
    help="conda-explicit, conda-env, requirements, pylock; openshift-template, kernelspec, enterprise-gateway; "
    "kubeflow-spawner, github-matrix, mermaid, renovate; may also be the first word.",
)
@click.option(
    "--for", "reader", metavar="READER", default="", help="Who reads it: eg-kubernetes, gp-docker, … of kernelspec."
)
@click.option("--tag", metavar="TAG", default="", help="Name images by what TAG names in the registry now.")
@click.option(
    "--to", "repository", metavar="HOST/PATH/{image}", default="", help="Images that were pushed there instead."
)
@click.pass_obj
def command(folder: Path, words: tuple[str, ...], form: str | None, reader: str, tag: str, repository: str) -> None:
    from builder.workflow.export import export
    from builder.workflow.project import open_project, select
    from builder.workflow.published import Place

    if form is None:
        if not words:
            raise click.UsageError("Missing argument 'FORMAT'.")
        form, *rest = words
        words = tuple(rest)
    project = open_project(folder)
    text = export(
        project,
        select(project.manifest, words),
        form,
        reader=reader,
        place=Place(repository=repository, tag=tag) if tag or repository else None,
        told=lambda line: print(line, file=sys.stderr),
    )
    print(text, end="")
