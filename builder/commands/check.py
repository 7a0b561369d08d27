"""Prove that built images keep their contracts, in containers started natively."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from builder.checks import Checked, Outcome
    from builder.manifest.model import Target
    from builder.workflow.project import Project


@click.command("check", help=__doc__)
@click.argument("wanted", metavar="[TARGET]", required=False)
@click.option("--all", "everything", is_flag=True, help="All built targets of this machine's platform, as a table.")
@click.option("--contract", "names", metavar="NAME", multiple=True, help="This contract instead of the image's.")
@click.option("--junit", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path), help="Write JUnit XML too.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_obj
def command(
    folder: Path, wanted: str | None, everything: bool, names: tuple[str, ...], junit: Path | None, as_json: bool
) -> None:
    from builder.commands._targets import here
    from builder.errors import StackbuildError
    from builder.exports import renderer
    from builder.workflow.project import open_project
    from builder.workflow.save import write

    if everything == (wanted is not None):
        raise click.UsageError("name a target, or give --all")
    project = open_project(folder)
    targets, _ = here(project, [wanted] if wanted is not None else [])
    found = [_check(project, one, names, everything=everything, quiet=as_json) for one in targets]
    if junit is not None:
        write(junit, iter([renderer("check", "junit")(found).encode()]))
    if as_json:
        print(json.dumps(_rows(found), indent=2))
    elif everything:
        print(renderer("check", "table")(found), end="")
    broken = sum(bool(outcome.problem) for one in found for _, outcome in one.outcomes)
    if broken:
        whole = sum(len(one.outcomes) for one in found)
        raise StackbuildError(f"{broken} of {whole} points of the contract are not kept: {wanted or 'see above'}")
    if not any(one.built for one in found):
        raise StackbuildError("nothing is built that could be checked", next_step="stackbuild build")


def _check(project: Project, target: Target, names: tuple[str, ...], *, everything: bool, quiet: bool) -> Checked:
    """One target; what comes out is told as it comes, to stderr where stdout is for the table."""
    from builder.checks import Checked
    from builder.exports.printable import printable
    from builder.workflow import check

    if everything and not check.is_built(project, target):
        print(f"{target}: not built", file=sys.stderr, flush=True)
        return Checked(target=target, built=False)
    found = []
    for contract, outcome in check.check(project, target, names):
        found.append((contract, outcome))
        if everything:
            print(f"{target}: {_line(contract, outcome)}", file=sys.stderr, flush=True)
        elif not quiet:
            print(_line(contract, outcome), flush=True)
            for line in outcome.problem.splitlines():
                print(f"        {printable(line)}")
    return Checked(target=target, outcomes=tuple(found))


def _line(contract: str, outcome: Outcome) -> str:
    took = f" ({outcome.seconds:.1f} s to the first answer)" if outcome.seconds else ""
    return f"{'BROKEN' if outcome.problem else 'kept'}  {contract}: {outcome.name}{took}"


def _rows(found: list[Checked]) -> list[dict[str, str]]:
    return [
        {"target": str(one.target), "contract": contract, "name": outcome.name, "problem": outcome.problem}
        for one in found
        for contract, outcome in one.outcomes
    ]
