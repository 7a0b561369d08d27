"""Which targets a change touches, and how to share them out among machines; nothing is built."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from builder.keytable import Step
from builder.manifest.model import Target
from builder.workflow import keytables, since_revision, took
from builder.workflow.project import Project

if TYPE_CHECKING:
    from builder.packing import Job

MOST = 256
"""Jobs that a matrix of GitHub Actions may have (its "Usage limits")."""


def plan(project: Project, targets: Sequence[Target], revision: str = "", *, most: int = MOST) -> tuple[Job, ...]:
    """Jobs for the targets that differ from a revision, for all of them without one.

    Only what differs counts as work: what a revision had is taken from the remote cache, or was pushed.

    Args:
        targets: whose locks are there.
        revision: of git.

    Raises:
        StackbuildError: git does not know the revision, or its manifest cannot be planned.
    """
    now = keytables.of(project)
    if not revision:
        todo = now.steps(targets)
    else:
        then = since_revision.tables_at(project, revision, now)
        if then is now:
            return ()
        chosen = since_revision.changed(now.keys(targets), then.keys(then.ready()))
        if not chosen:
            return ()
        before = {step.key for step in then.every(then.ready())}
        todo = {
            target: {key: step for key, step in steps.items() if key not in before}
            for target, steps in now.steps(chosen).items()
        }
    from builder.packing import pack  # It brings all of networkx, and mostly nothing differs.

    once = {key: step for steps in todo.values() for key, step in steps.items()}
    once = {key: _recorded(project, step) for key, step in once.items()}
    return pack({target: [once[key] for key in steps] for target, steps in todo.items()}, most=most)


def _recorded(project: Project, step: Step) -> Step:
    """With the seconds that it took here when it was performed last, if it was."""
    seconds = took.expected(project, step.key, step.name, step.size)
    return step if seconds is None else replace(step, seconds=seconds)
