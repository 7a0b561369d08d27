"""Prove that built images keep the contracts that their layout and they themselves name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Final

from builder import checked, checks
from builder.checked import Score
from builder.checks import Outcome, Subject
from builder.errors import StackbuildError
from builder.manifest.model import Target
from builder.platforms import runs
from builder.runtime import Image
from builder.workflow import build
from builder.workflow.project import Project
from builder.workflow.promised import promised

ALWAYS: Final = ("contents",)
"""Contracts of every image, which start nothing of it."""


def contracts(project: Project, target: Target) -> tuple[str, ...]:
    """The contracts of a target: its layout's, those of the images of its chain, and every image's, each once.

    An image without a port serves nothing yet, so a server's contract is not asked of it.
    """
    layout = project.manifest.layout(target)
    found = list(layout.check) if layout else []
    for one in project.manifest.family(target):
        found += one.check
    serves = any(one.expose for one in project.manifest.family(target))
    named = (name for name in found if serves or name != "kubeflow")
    return tuple(dict.fromkeys((*named, *ALWAYS)))


def check(project: Project, target: Target, names: tuple[str, ...] = ()) -> Iterator[tuple[str, Outcome]]:
    """(contract, outcome), as they come. A contract that cannot be tried is broken, and the next one is tried.

    Raises:
        StackbuildError: the target is not built, or a contract is unknown.
    """
    wanted = names or contracts(project, target)
    known = sorted(path.stem for path in Path(checks.__file__).parent.glob("[a-z]*.py"))
    for name in wanted:
        if name not in known:
            raise StackbuildError(f"unknown contract: {name}", expected=", ".join(known))
    image = open_image(project, target)
    subject = Subject(image=image, env=image.env(), promised=lambda: promised(project, target))
    for name in wanted:
        found: list[Outcome] = []
        for outcome in _outcomes(name, subject):
            found.append(outcome)
            yield name, outcome
        _note(project, target, name, found)


def _outcomes(name: str, subject: Subject) -> Iterator[Outcome]:
    module = import_module(f"builder.checks.{name}")
    try:
        yield from module.check(subject)
    except (StackbuildError, OSError) as error:
        yield Outcome(name="can be tried", problem=str(error))


def _note(project: Project, target: Target, contract: str, found: Sequence[Outcome]) -> None:
    """Let `status` tell what the contract came to."""
    end = build.plan(project, (target,))[target].image
    assert end is not None
    score = Score(kept=sum(not one.problem for one in found), tried=len(found))
    checked.note(project.store, end.plan_key, {contract: score})


def is_built(project: Project, target: Target) -> bool:
    """Whether the store has the target as manifest and locks now say; what is not locked is not built either."""
    try:
        end = build.plan(project, (target,))[target].image
    except StackbuildError:
        return False
    return end is not None and project.store.action(end.plan_key) is not None


def starts(project: Project, target: Target) -> Iterator[tuple[str, Outcome]]:
    """The first point of each contract of a target: that it starts and answers; nothing where it cannot run here."""
    if not runs(target.platform):
        return
    for name in contracts(project, target):
        if name not in ALWAYS:
            yield next(check(project, target, (name,)))


def open_image(project: Project, target: Target) -> Image:
    """A built target, ready to be started.

    Raises:
        StackbuildError: it is not built as manifest and locks now say.
    """
    planned = build.plan(project, (target,))
    found = build.result(project, planned, target)
    build.complete(project, planned, target)
    return Image(project.store, found)
