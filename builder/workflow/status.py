"""Every target: is it locked, is it built, what is stale, what did its contracts come to?"""

from __future__ import annotations

from collections.abc import Iterator

from builder.awaited import awaited
from builder.checked import scores_of
from builder.errors import StackbuildError
from builder.manifest.model import Target
from builder.platforms import NATIVE, runs
from builder.state import State
from builder.workflow import build, explain, lock
from builder.workflow.project import Project


def status(project: Project, targets: tuple[Target, ...]) -> Iterator[State]:
    """The state of these targets, in the manifest's order."""
    waiting = awaited(project.manifest, project.locks, *targets)
    for target in targets:
        if why := waiting.get(target):
            yield State(target=target, locked="awaits", awaits=why, because=f"awaits {', '.join(why)}")
        elif problems := lock.check(project, [target]):
            yield State(target=target, locked=problems[0].what)
        else:
            yield _locked(project, target)


def _locked(project: Project, target: Target) -> State:
    try:
        planned = build.plan(project, [target])
    except StackbuildError as error:
        return State(target=target, locked=error.what)
    reasons = explain.explain(project, planned, target)
    if not reasons:
        end = planned[target].image
        assert end is not None
        return State(
            target=target,
            locked="yes",
            built="yes",
            size=sum(layer["size"] for layer in build.result(project, planned, target)["layers"]),
            unproven=build.unproven(project, planned, target),
            checked=scores_of(project.store, end.plan_key),
        )
    first = reasons[0]
    why = f"{first.action}: {first.because[0]}" if first.because else first.action
    never = reasons[-1].because == ("it was never built in this store",)
    if never and target.platform != NATIVE and not runs(target.platform):
        why = f"programs of {target.platform} do not run on this machine"
    return State(target=target, locked="yes", built="no" if never else "stale", because=why)
