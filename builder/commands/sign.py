"""Sign pushed images with a key, as cosign does; or look who has signed them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TextIO

import click


@click.command("sign", help=__doc__)
@click.argument("wanted", metavar="[TARGET]...", nargs=-1)
@click.option(
    "--key",
    "path",
    metavar="FILE",
    default="",
    help="The private key, instead of STACKBUILD_SIGNING_KEY; with --check, the public one.",
)
@click.option("--check", is_flag=True, help="Only look whether they are signed by the key.")
@click.option("--to", "repository", metavar="HOST/PATH/{image}", default="", help="Where the images were pushed to.")
@click.option("--tag", "tags", metavar="TAG", multiple=True, help="They were tagged so, not as the manifest says.")
@click.option(
    "--built",
    type=click.File("r"),
    metavar="FILE",
    help="What other machines built: lines of NAME@DIGEST that --dry-run printed there.",
)
@click.option("--dry-run", is_flag=True, help="Print what would be signed, and sign nothing; needs no key.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_obj
def command(
    folder: Path,
    wanted: tuple[str, ...],
    path: str,
    check: bool,
    repository: str,
    tags: tuple[str, ...],
    built: TextIO | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    if check:
        if built is not None or dry_run:
            raise click.UsageError("--check goes with neither --built nor --dry-run")
        _check(folder, wanted, path, repository, tags, as_json)
        return
    from builder.errors import StackbuildError
    from builder.workflow import build, shipment
    from builder.workflow.project import locked, open_project
    from builder.workflow.releases import names_of
    from builder.workflow.sign import KEY, Wanted, read_lines, sign, signing_key

    project = open_project(folder)
    key = signing_key(project, path)
    if key is None and not dry_run:
        raise StackbuildError(
            "no key to sign with",
            expected=f"--key FILE, or {KEY}: the path of a private key, or its text",
            next_step="openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out image.key",
        )
    named = locked(project, wanted)
    elsewhere = read_lines(list(built), names_of(project.manifest, named, repository)) if built else {}
    planned = build.plan(project, named)
    chosen, left = shipment.ready(project, planned, named, named=bool(wanted) and not elsewhere, some=not elsewhere)
    for target in left:
        if project.manifest.published(target, repository) not in elsewhere:
            print(f"{target}: not built here, so not signed", file=sys.stderr)
    how = Wanted(key=key, dry_run=dry_run, repository=repository, templates=tags, elsewhere=elsewhere)
    found = sign(project, planned, chosen, how, lambda line: print(line, file=sys.stderr, flush=True))
    if as_json:
        print(json.dumps([{"reference": f"{one.name}@{one.digest}", "new": one.new} for one in found], indent=2))
        return
    for one in found:
        if one.new or not dry_run:
            print(f"{one.name}@{one.digest}")
    if key is not None and not dry_run:
        new = sum(one.new for one in found)
        print(f"signed {new}; {len(found) - new} were signed already", file=sys.stderr)


def _check(
    folder: Path, wanted: tuple[str, ...], path: str, repository: str, tags: tuple[str, ...], as_json: bool
) -> None:
    from builder.errors import StackbuildError
    from builder.signatures.keys import public
    from builder.workflow.project import locked, open_project
    from builder.workflow.releases import names_of
    from builder.workflow.sign import signing_key
    from builder.workflow.sign_check import check

    project = open_project(folder)
    known = None if path else signing_key(project, "")
    key = public(Path(path), path) if path else known.public if known else None
    if key is None:
        raise StackbuildError("no key to check with", expected="--key FILE: the public key of whoever signed")
    names = names_of(project.manifest, locked(project, wanted), repository)
    found = check(project, names, key, templates=tags)
    if as_json:
        rows = [{"reference": f"{one.name}@{one.digest}", "signed": not one.why, "why": one.why} for one in found]
        print(json.dumps(rows, indent=2))
    else:
        for one in found:
            print(f"{one.name}@{one.digest}  {one.why or 'signed'}")
    if wrong := [one for one in found if one.why]:
        raise StackbuildError(f"not signed by {key.name}: {len(wrong)} of {len(found)}")
