"""Every target: is it locked, is it built, what is stale?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from builder.errors import StackbuildError
from builder.manifest.model import Target
from builder.platforms import NATIVE, runs
from builder.workflow import build, explain, lock
from builder.workflow.project import Project


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """One target.

    Attributes:
        locked: "yes", or what is wrong with its locks.
        built: "yes", "no", or "stale".
        because: the first reason of a stale or missing build.
        size: bytes of its layers, compressed; 0 if it is not built.
        unproven: its steps, and its ancestors', that nobody has seen to do the same twice; `verify` does.
    """

    target: Target
    locked: str
    built: str
    because: str
    size: int
    unproven: tuple[str, ...] = ()


def status(project: Project, targets: tuple[Target, ...]) -> Iterator[State]:
    """The state of these targets, in the manifest's order."""
    for target in targets:
        problems = lock.check(project, [target])
        if problems:
            yield State(target=target, locked=problems[0].what, built="no", because="", size=0)
            continue
        try:
            planned = build.plan(project, [target])
        except StackbuildError as error:
            yield State(target=target, locked=error.what, built="no", because="", size=0)
            continue
        reasons = explain.explain(project, planned, target)
        if not reasons:
            layers = build.result(project, planned, target)["layers"]
            size = sum(layer["size"] for layer in layers)
            unproven = build.unproven(project, planned, target)
            yield State(target=target, locked="yes", built="yes", because="", size=size, unproven=unproven)
            continue
        first = reasons[0]
        why = f"{first.action}: {first.because[0]}" if first.because else first.action
        never = reasons[-1].because == ("it was never built in this store",)
        if never and target.platform != NATIVE and not runs(target.platform):
            why = f"programs of {target.platform} do not run on this machine"
        yield State(target=target, locked="yes", built="no" if never else "stale", because=why, size=0)
