"""Say which targets a change touches, packed into jobs that share work; builds nothing."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from builder.packing import Job


@click.command("plan", help=__doc__)
@click.argument("wanted", metavar="[TARGET]...", nargs=-1)
@click.option("--since", metavar="REF", help="Only targets whose plan differs from that of a git revision.")
@click.option("--changed", is_flag=True, help="The same since the branch left the one that it will be merged into.")
@click.option("--jobs", "most", type=click.IntRange(1), help="At most so many jobs; one for each platform at least.")
@click.option("--github-matrix", "matrix", is_flag=True, help="Print the matrix of a GitHub Actions job, on one line.")
@click.option("--json", "as_json", is_flag=True, help="Print the jobs as JSON.")
@click.pass_obj
def command(
    folder: Path,
    wanted: tuple[str, ...],
    since: str | None,
    changed: bool,
    most: int | None,
    matrix: bool,
    as_json: bool,
) -> None:
    import os

    from builder.fetching import gigabytes
    from builder.workflow import merge_base
    from builder.workflow.plan import MOST, plan
    from builder.workflow.project import locked, open_project

    project = open_project(folder)
    if changed and since is None:
        since = merge_base.merge_base(project.manifest.folder, os.environ)
    found = plan(project, locked(project, wanted), since or "", most=min(most or MOST, MOST))
    if matrix:
        print(json.dumps({"include": _rows(found)}, separators=(",", ":")))
    elif as_json:
        print(json.dumps(_rows(found), indent=2))
    else:
        for job in found:
            print(f"about {job.minutes} min, {gigabytes(job.disk)}: {' '.join(map(str, job.targets))}")
        if not found:
            print("nothing differs", file=sys.stderr)


def _rows(jobs: Sequence[Job]) -> list[dict[str, object]]:
    from builder.exports.github_matrix import RUNNERS

    return [
        {
            "name": str(job.targets[0]) + (f" and {len(job.targets) - 1} more" if len(job.targets) > 1 else ""),
            "targets": " ".join(map(str, job.targets)),
            "platform": job.targets[0].platform,
            "runs-on": RUNNERS[job.targets[0].platform],
            "minutes": job.minutes,
            "disk": job.disk,
        }
        for job in jobs
    ]
