"""Prove that built images keep their contracts, in containers of their own."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from builder.built import Image
    from builder.checks import Checked, Outcome
    from builder.manifest.model import Target
    from builder.runtimes import Ready
    from builder.workflow.project import Project


@click.command("check", help=__doc__)
@click.argument("wanted", metavar="[TARGET]", required=False)
@click.option("--all", "everything", is_flag=True, help="All built targets of this machine's platform, as a table.")
@click.option("--image", "reference", metavar="REFERENCE", help="An image of a registry or an OCI layout instead.")
@click.option("--contract", "names", metavar="NAME", multiple=True, help="This contract instead of the image's.")
@click.option(
    "--runtime",
    "runtimes",
    metavar="NAME",
    multiple=True,
    default=("native",),
    show_default=True,
    help="What starts the containers: native, docker; may repeat.",
)
@click.option("--junit", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path), help="Write JUnit XML too.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_obj
def command(
    folder: Path,
    wanted: str | None,
    everything: bool,
    reference: str | None,
    names: tuple[str, ...],
    runtimes: tuple[str, ...],
    junit: Path | None,
    as_json: bool,
) -> None:
    from builder.commands._targets import here
    from builder.errors import StackbuildError
    from builder.exports import renderer
    from builder.runtimes import keeping_last, named
    from builder.workflow.project import open_project
    from builder.workflow.save import write

    if everything + (wanted is not None) + (reference is not None) != 1:
        raise click.UsageError("name a target, or give --all or --image")
    if reference is not None and not names:
        raise click.UsageError("--image needs --contract: no manifest names the contracts of that image")
    starters = {name: named(name) for name in runtimes}
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # An engine's containers must go, as they do on ^C.
    tried: list[Callable[[_How], Checked]]
    if reference is not None:
        tried = [partial(_check_image, reference, _fetched(reference, folder))]
    else:
        project = open_project(folder)
        targets, _ = here(project, [wanted] if wanted is not None else [])
        tried = [partial(_check, project, one) for one in targets]
    found = []
    for name, ready in starters.items():
        with keeping_last(ready) as each:
            how = _How(names=names, runtime=name, ready=each, table=everything, quiet=as_json)
            found += [one(how) for one in tried]
    if junit is not None:
        write(junit, iter([renderer("check", "junit")(found).encode()]))
    if as_json:
        print(json.dumps(_rows(found), indent=2))
    elif everything:
        print(renderer("check", "table")(found), end="")
    broken = sum(bool(outcome.problem) for one in found for _, outcome in one.outcomes)
    if broken:
        whole = sum(len(one.outcomes) for one in found)
        raise StackbuildError(
            f"{broken} of {whole} points of the contract are not kept: {wanted or reference or 'see above'}"
        )
    if not any(one.built for one in found):
        raise StackbuildError("nothing is built that could be checked", next_step="stackbuild build")


@dataclass(frozen=True, slots=True, kw_only=True)
class _How:
    """What is the same for all targets of one runtime."""

    names: tuple[str, ...]
    runtime: str
    ready: Ready
    table: bool
    quiet: bool


def _fetched(reference: str, folder: Path) -> Image:
    from builder.workflow.foreign import fetch
    from builder.workflow.project import open_store

    return fetch(open_store(), reference, folder)


def _check_image(reference: str, image: Image, how: _How) -> Checked:
    from builder.workflow import check

    return _told(reference, check.check_image(image, how.names, ready=how.ready), how)


def _check(project: Project, target: Target, how: _How) -> Checked:
    from builder.checks import Checked
    from builder.workflow import check

    if how.table and not check.is_built(project, target):
        print(f"{target}: not built", file=sys.stderr, flush=True)
        return Checked(target=target, runtime=how.runtime, built=False)
    return _told(target, check.check(project, target, how.names, runtime=how.runtime, ready=how.ready), how)


def _told(what: Target | str, outcomes: Generator[tuple[str, Outcome], None, None], how: _How) -> Checked:
    """What comes out for one image is told as it comes, to stderr where stdout is for the table."""
    from builder.checks import Checked
    from builder.exports.printable import printable

    found = []
    with closing(outcomes) as coming:
        for contract, outcome in coming:
            found.append((contract, outcome))
            line = _line(f"{contract} on {how.runtime}", outcome)
            if how.table:
                print(f"{what}: {line}", file=sys.stderr, flush=True)
            elif not how.quiet:
                print(line, flush=True)
                for more in outcome.problem.splitlines():
                    print(f"        {printable(more)}")
    return Checked(target=what, runtime=how.runtime, outcomes=tuple(found))


def _line(contract: str, outcome: Outcome) -> str:
    took = f" ({outcome.seconds:.1f} s to the first answer)" if outcome.seconds else ""
    return f"{'BROKEN' if outcome.problem else 'kept'}  {contract}: {outcome.name}{took}"


def _rows(found: list[Checked]) -> list[dict[str, str]]:
    return [
        {
            "target": str(one.target),
            "runtime": one.runtime,
            "contract": contract,
            "name": outcome.name,
            "problem": outcome.problem,
        }
        for one in found
        for contract, outcome in one.outcomes
    ]
