"""Push built images to their registry: what it lacks, and tags at last."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click


@click.command("push", help=__doc__)
@click.argument("wanted", metavar="[TARGET]...", nargs=-1)
@click.option(
    "--to", "repository", metavar="HOST/PATH/{image}", help="Push there instead of to the project's repository."
)
@click.option("--tag", "tags", metavar="TAG", multiple=True, help="Tag so instead of as the manifest says; may repeat.")
@click.option("--partial", is_flag=True, help="Let a tag name fewer platforms than it does, if others are not built.")
@click.option(
    "--digest-file", type=click.Path(dir_okay=False, path_type=Path), help="Write what was pushed there, as JSON."
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_obj
def command(
    folder: Path,
    wanted: tuple[str, ...],
    repository: str | None,
    tags: tuple[str, ...],
    partial: bool,
    digest_file: Path | None,
    as_json: bool,
) -> None:
    from builder.workflow import build, push, shipment
    from builder.workflow.project import locked, open_project

    project = open_project(folder)
    named = locked(project, wanted)
    planned = build.plan(project, named)
    chosen, left = shipment.ready(project, planned, named, named=bool(wanted))
    said = (lambda _: None) if as_json else (lambda line: print(line, file=sys.stderr, flush=True))
    pushed, traffic = push.push(
        project, planned, chosen, repository=repository or "", templates=tags, partial=partial, told=said
    )
    platforms = {one.name: one.platforms for one in pushed}
    for target in left:
        joined = target.platform in platforms.get(project.manifest.published(target, repository or ""), ())
        how = "another machine pushed it, so it is in the index" if joined else "not built here, so not pushed"
        print(f"{target}: {how}", file=sys.stderr)
    images = {
        one.name: {"reference": f"{one.name}@{one.digest}", "tags": one.tags, "platforms": dict(one.platforms)}
        for one in pushed
    }
    if digest_file is not None:
        digest_file.write_text(json.dumps(images, indent=2) + "\n")
    if as_json:
        print(json.dumps({"images": images, "blobs": asdict(traffic)}, indent=2))
        return
    for one in pushed:
        print(f"{one.name}@{one.digest}  {' '.join(one.tags)}")
    print(
        f"sent {traffic.sent / 1e6:.1f} MB: {traffic.uploaded} blobs uploaded, {traffic.mounted} mounted",
        file=sys.stderr,
    )
