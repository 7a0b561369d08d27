"""Which targets a change touches, and how to share them out among machines; nothing is built."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from builder import planner
from builder.action import Action
from builder.manifest.model import Target
from builder.packing import Cost, Job, pack
from builder.workflow import build, since_revision, took
from builder.workflow.project import Project

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
    planned = build.plan(project, targets)
    before: frozenset[str] = frozenset()
    chosen = list(targets)
    if revision:
        then = since_revision.planned_at(project, revision)
        chosen = since_revision.changed(planned, then, targets)
        before = frozenset(action.plan_key for action in _all([one.image for one in then.values() if one.image]))
    todo: Mapping[Target, list[Action]] = {
        target: [one for one in _all([image]) if one.plan_key not in before]
        for target in chosen
        if (image := planned[target].image) is not None
    }
    costs = {action: _cost(project, action) for action in _once(todo.values())}
    return pack(todo, costs, most=most)


def _once(found: Iterable[Iterable[Action]]) -> list[Action]:
    return list(dict.fromkeys(action for actions in found for action in actions))


def _cost(project: Project, action: Action) -> Cost:
    return Cost(seconds=took.expected(project, action), disk=planner.space(action))


def _all(ends: Sequence[Action]) -> list[Action]:
    """These actions and whatever they read, each once."""
    return list({action.plan_key: action for end in ends for action in end.walk()}.values())
