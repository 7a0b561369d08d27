"""Build again under other circumstances, and compare.

The second build runs in a temporary store and a copy of the project elsewhere, under another umask, time zone, locale,
host name and job count; the clock that package scripts and source builds see is a year ahead. What it may share
with the first is what both must check by digest: the fetched sources.
"""

from __future__ import annotations

import glob
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builder import impure
from builder.errors import StackbuildError
from builder.listing import Listed, read
from builder.manifest.model import Target
from builder.project_files import FOLDERS
from builder.site import Planned
from builder.store import Store
from builder.workflow import build
from builder.workflow.project import Project

_SHIFT = "+365d"
_MOST = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One target.

    Attributes:
        differences: lines that name layers and entries; empty if both builds are bit-identical.
        layers: how many were compared.
        clock: whether the second build's clock was shifted.
    """

    target: Target
    differences: tuple[str, ...]
    layers: int
    clock: bool


def verify(project: Project, targets: Sequence[Target]) -> tuple[Verdict, ...]:
    """Build these targets once more and compare diff IDs, digests, config and manifest.

    What scripts of the project did (`run`) counts as proven from then on, each step that came to the same.

    Raises:
        StackbuildError: a target is not built yet, or the second build failed.
    """
    planned = build.plan(project, targets)
    first = {target: build.result(project, planned, target) for target in targets}
    with project.store.workspace() as scratch:
        store = Store.open(scratch / "another" / "store")
        _share_sources(project, planned, store)
        clock = faketime()
        _build_elsewhere(project, targets, store, scratch, clock)
        found = []
        for target in targets:
            image = planned[target].image
            assert image is not None
            action = store.action(image.plan_key)
            if action is None:
                raise StackbuildError(f"the second build left no {target}: its plan has another key")
            second = action["result"]
            impure.prove(project.store, store, image.needs.values())
            found.append(
                Verdict(
                    target=target,
                    differences=tuple(_differences(project.store, store, first[target], second)),
                    layers=len(second["layers"]),
                    clock=bool(clock),
                )
            )
    return tuple(found)


def faketime() -> str:
    """Path of the host's libfaketime, or "" where it has none."""
    return next(iter(sorted(glob.glob("/usr/lib/*/faketime/libfaketime.so.1"))), "")


def _share_sources(project: Project, planned: Mapping[Target, Planned], store: Store) -> None:
    """Link what was fetched; files that a build made stay behind, so that they are made anew."""
    actions = [action for one in planned.values() for action in one.actions]
    inner = [need for action in actions for need in action.walk()]
    for pin in build.pins_of(inner):
        source, target = project.store.source(pin.digest), store.source(pin.digest)
        if source.exists() and not target.exists():
            try:
                os.link(source, target)
            except OSError:
                shutil.copyfile(source, target)


def _build_elsewhere(project: Project, targets: Sequence[Target], store: Store, scratch: Path, clock: str) -> None:
    folder = scratch / "a folder with another name"
    folder.mkdir()
    shutil.copy(project.manifest.path, folder)
    for part in FOLDERS:
        if (project.manifest.folder / part).is_dir():
            shutil.copytree(project.manifest.folder / part, folder / part, symlinks=True)
    jobs = 1 if (os.cpu_count() or 1) > 1 else 2
    command = [sys.executable, "-P", "-m", "builder.cli", "-C", str(folder), "build", "--no-start", f"--jobs={jobs}"]
    command += [str(target) for target in targets]
    env = {
        **os.environ,
        "STACKBUILD_STORE": str(store.path),
        "TZ": "Pacific/Kiritimati",
        "LC_ALL": "C",
        "LANG": "tr_TR.UTF-8",
        "PYTHONHASHSEED": "4242",
        "HOME": str(scratch),
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    if clock:
        env["STACKBUILD_SANDBOX_CLOCK"] = f"{clock}@{_SHIFT}"
    shell = ["unshare", "--uts", "--", "sh", "-c", 'hostname another-host && umask 077 && exec "$@"', "sh", *command]
    done = subprocess.run(shell, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise StackbuildError(
            "the second build failed", got="\n".join((done.stderr or done.stdout).strip().splitlines()[-15:])
        )


def _differences(one: Store, other: Store, first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[str]:
    if len(first["layers"]) != len(second["layers"]):
        yield f"{len(first['layers'])} layers, then {len(second['layers'])}"
    for before, after in zip(first["layers"], second["layers"], strict=False):
        if before["diff_id"] != after["diff_id"]:
            yield f"layer {before['name']}: diff ID {before['diff_id'][:19]} → {after['diff_id'][:19]}"
            yield from _entries(one, other, before, after)
        elif before["digest"] != after["digest"]:
            yield f"layer {before['name']}: equal diff IDs, but other compressed bytes"
    if first["config"] != second["config"]:
        yield f"config {first['config'][:19]} → {second['config'][:19]}"
    if first["manifest"] != second["manifest"]:
        yield f"manifest {first['manifest']['digest'][:19]} → {second['manifest']['digest'][:19]}"


def _entries(one: Store, other: Store, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    was: dict[str, Listed] = {entry.path: entry for entry in read(one, before)}
    now: dict[str, Listed] = {entry.path: entry for entry in read(other, after)}
    names = [path for path in sorted(was.keys() | now.keys()) if was.get(path) != now.get(path)]
    for path in names[:_MOST]:
        yield f"  /{path}: {_shown(was.get(path))} → {_shown(now.get(path))}"
    if len(names) > _MOST:
        yield f"  and {len(names) - _MOST} more entries"
    if not names:
        yield "  equal but for times or extended attributes"


def _shown(entry: Listed | None) -> str:
    return "absent" if entry is None else f"{entry.kind} {entry.mode} {entry.ids} {entry.size} {entry.mark}"
