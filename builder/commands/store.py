"""Look after the store."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from builder.workflow.store_check import Checked


@click.group("store", help=__doc__)
def command() -> None: ...


@command.command()
@click.option("--repair", is_flag=True, help="Remove what is damaged, so that the next build makes it anew.")
@click.option("--dry-run", is_flag=True, help="With --repair: say what would go, and remove nothing.")
@click.option("--wait", type=click.FloatRange(0), default=0, help="With --repair: seconds to wait while it is in use.")
@click.option("--jobs", "-j", type=click.IntRange(1), default=os.cpu_count() or 1, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def check(repair: bool, dry_run: bool, wait: float, jobs: int, as_json: bool) -> None:
    """Hash everything in the store again, and say what is damaged or missing."""
    from builder.workflow import store_check
    from builder.workflow.project import open_store

    if not repair and (dry_run or wait):
        raise click.UsageError("--dry-run and --wait go with --repair")
    wish = store_check.Wish(jobs=jobs, repair=repair, dry_run=dry_run, wait=wait)
    found = store_check.check(open_store(held=False), wish)
    if as_json:
        rows = [{**asdict(one), "removed": one in found.removed} for one in found.looked.findings]
        print(
            json.dumps({"dry_run": dry_run, "findings": rows, "files": found.looked.files, "size": found.looked.size})
        )
    else:
        _say(found, repair, dry_run)
    if not found.sound:
        sys.exit(1)


def _say(found: Checked, repair: bool, dry_run: bool) -> None:
    gone = ("would go" if dry_run else "removed") if repair else ""
    for one in found.looked.findings:
        print(f"{gone if one in found.removed else one.kind}: {one.path}: {one.what}")
        if one.remedy and one.kind != "unknown":
            print(f"  next: {one.remedy}")
    count = sum(one.kind != "unknown" for one in found.looked.findings)
    said = f"{count} of these are wrong" if count else "nothing is wrong"
    print(f"{found.looked.files} files, {found.looked.size / 1e9:.1f} GB: {said}", file=sys.stderr)
    if any(one.kind != "unknown" and not one.remedy for one in found.looked.findings) and not repair:
        print("next: stackbuild store check --repair, then build again", file=sys.stderr)
