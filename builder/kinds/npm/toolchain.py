"""The root that install scripts run in: the image's Debian packages, and above them those for compiling alone.

Only the packages that are being built are taken from it, so compilers and headers never get into the image. It is a
cache in the store's `roots/`, made again whenever it is missing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from builder import unpacked
from builder.action import Result, Workshop
from builder.digest import Json, key
from builder.errors import StackbuildError
from builder.lock import Pin
from builder.sandbox import Command, Root, run
from builder.tree import NEWEST

VERSION = 1


def lowers(
    results: Mapping[str, Result], build: Sequence[Pin], architecture: str, workshop: Workshop
) -> tuple[Path, ...]:
    """The folders of the root, uppermost first.

    Args:
        results: of the actions whose layers the image has below, lowest first.
        build: Debian packages to install above them.

    Raises:
        HostileInput: a package in the store has changed.
        StackbuildError: a package script failed; its output is in the workshop's log.
    """
    layers = [layer for result in results.values() for layer in result["layers"]]
    below = tuple(reversed(unpacked.layers(workshop.store, layers)))
    if not build:
        return below
    document: Json = {
        "kind": "npm.toolchain",
        "kind_version": VERSION,
        "inputs": {"below": [layer["diff_id"] for layer in layers], "debs": [pin.digest for pin in build]},
    }

    def fill(upper: Path, workspace: Path) -> None:
        _install(build, Root(workspace=workspace, lowers=below, upper=upper), architecture, workshop)

    return (unpacked.folder(workshop.store, f"toolchain-{key(document).hex}", fill), *below)


def _install(build: Sequence[Pin], root: Root, architecture: str, workshop: Workshop) -> None:
    store = workshop.store
    store.check_sources((pin.digest for pin in build), workshop.jobs)
    order: dict[str, Any] = {
        "debs": [f"/run/stackbuild/sources/{pin.digest.hex}" for pin in build],
        "jobs": workshop.jobs,
        "fresh": False,
        "architecture": architecture,
        "essential": [],
        "account": None,
        "debconf": [],
        "newest": NEWEST,
        "waves": False,
    }
    command = Command(
        argv=(json.dumps(order),),
        program="builder.kinds.apt.install",
        binds=tuple((str(store.source(pin.digest)), f"run/stackbuild/sources/{pin.digest.hex}", True) for pin in build),
    )
    code = run(root, command, log=workshop.log)
    if code:
        raise StackbuildError(
            f"cannot install the packages of npm-build (exit {code})",
            where=f"log: {workshop.log}",
            got="\n".join(workshop.log.read_text(errors="replace").splitlines()[-4:]),
        )
