"""Write one file with all that building targets takes, for a machine without a network."""

from __future__ import annotations

import sys
from pathlib import Path

import click


@click.command("bundle", help=__doc__)
@click.argument("wanted", metavar="TARGET...", nargs=-1, required=True)
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="Where to.")
@click.option("--results", is_flag=True, help="With what is built of them already.")
@click.option("--dry-run", is_flag=True, help="Say how many files and bytes that is, and do nothing.")
@click.pass_obj
def command(folder: Path, wanted: tuple[str, ...], output: Path | None, results: bool, dry_run: bool) -> None:
    from builder import program
    from builder.commands._progress import progress
    from builder.errors import StackbuildError
    from builder.fetching import Fetcher, gigabytes
    from builder.workflow import build, bundle
    from builder.workflow.project import locked, open_project

    if output is None and not dry_run:
        raise click.UsageError("Missing option '--output' / '-o'.")
    project = open_project(folder)
    chosen, left = bundle.choose(locked(project, wanted), wanted)
    if not chosen:
        raise StackbuildError(
            f"none of these targets is of this machine's platform: {', '.join(map(str, left))}",
            next_step=f"name it with its platform: stackbuild bundle {left[0]}",
        )
    if left:
        print(f"other platforms, name them to bundle them: {', '.join(map(str, left))}", file=sys.stderr)
    planned = build.plan(project, chosen)
    pins = bundle.pins(planned, chosen)
    if dry_run:
        missing = Fetcher(project.manifest, project.store).missing(pins)
        wheels = program.known_wheels(project.store)
        made = bundle.bundle(project, planned, chosen, wheels or (), results=results)
        print(f"{len(made.members)} files, {gigabytes(made.size)}")
        print(f"to be fetched: {len(missing)} files, {gigabytes(sum(pin.size for pin in missing))}")
        if wheels is None:
            print("and what stackbuild itself runs on, which pip has not downloaded yet")
        return
    assert output is not None
    with progress() as shown:
        bundle.fetch(project, pins, shown.fetched)
    wheels = program.wheels(project.store)
    made = bundle.bundle(project, planned, chosen, wheels, results=results)
    print(f"{output}: {len(made.members)} files, {gigabytes(made.size)}", file=sys.stderr)
    print(f"{bundle.write(made, output).hex}  {output}")
