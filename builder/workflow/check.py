"""Prove that built images keep the contracts that their layout and they themselves name."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from builder import checks
from builder.checks import Outcome, Subject
from builder.errors import StackbuildError
from builder.manifest.model import Target
from builder.platforms import runs
from builder.runtime import Image
from builder.workflow import build
from builder.workflow.project import Project


def contracts(project: Project, target: Target) -> tuple[str, ...]:
    """The contracts of a target: its layout's and those of the images of its chain, each once.

    An image without a port serves nothing yet, so a server's contract is not asked of it.
    """
    layout = project.manifest.layout(target)
    found = list(layout.check) if layout else []
    for one in project.manifest.family(target):
        found += one.check
    serves = any(one.expose for one in project.manifest.family(target))
    return tuple(dict.fromkeys(name for name in found if serves or name != "kubeflow"))


def check(project: Project, target: Target, names: tuple[str, ...] = ()) -> Iterator[tuple[str, Outcome]]:
    """(contract, outcome), as they come.

    Raises:
        StackbuildError: the target is not built, or a contract is unknown.
    """
    wanted = names or contracts(project, target)
    known = sorted(path.stem for path in Path(checks.__file__).parent.glob("[a-z]*.py"))
    for name in wanted:
        if name not in known:
            raise StackbuildError(f"unknown contract: {name}", expected=", ".join(known))
    image = open_image(project, target) if wanted else None
    for name in wanted:
        assert image is not None
        module = import_module(f"builder.checks.{name}")
        for outcome in module.check(Subject(image=image, env=image.env())):
            yield name, outcome


def starts(project: Project, target: Target) -> Iterator[tuple[str, Outcome]]:
    """The first point of each contract of a target: that it starts and answers; nothing where it cannot run here."""
    if not runs(target.platform):
        return
    for name in contracts(project, target):
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
