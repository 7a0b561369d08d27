"""Prove that built images keep the contracts that their layout and they themselves name."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Final

from builder import checked, checks
from builder.built import Image
from builder.checked import Score
from builder.checks import Outcome, Promised, Subject
from builder.errors import StackbuildError
from builder.manifest.model import Target
from builder.platforms import runs
from builder.runtimes import Ready, named
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


def check(
    project: Project,
    target: Target,
    names: tuple[str, ...] = (),
    *,
    runtime: str = "native",
    ready: Ready | None = None,
) -> Generator[tuple[str, Outcome], None, None]:
    """(contract, outcome), as they come. A contract that cannot be tried is broken, and the next one is tried.

    Args:
        names: of contracts, instead of the target's own.
        runtime: whose containers are looked at; `ready` is it where the caller has it already.

    Raises:
        StackbuildError: the target is not built, a contract is unknown, or the image cannot be brought to the runtime.
    """
    wanted = names or contracts(project, target)
    _known(wanted)
    image = open_image(project, target)
    found: dict[str, list[Outcome]] = {}
    for name, outcome in _tried(image, wanted, lambda: promised(project, target), ready or named(runtime)):
        found.setdefault(name, []).append(outcome)
        yield name, outcome
    _note(project, target, runtime, found)


def check_image(image: Image, names: tuple[str, ...], *, ready: Ready) -> Generator[tuple[str, Outcome], None, None]:
    """(contract, outcome), as they come, of an image that no manifest speaks of: a child built with a Dockerfile.

    Raises:
        StackbuildError: a contract is unknown, or needs a manifest, or the image cannot be brought to the runtime.
    """
    _known(names)
    for name in names:
        if name in ALWAYS:
            raise StackbuildError(
                f"the contract {name} compares an image with its manifest and locks",
                expected="another contract, for an image that has none",
            )
    yield from _tried(image, names, _nothing, ready)


def _nothing() -> Promised:
    raise StackbuildError("no manifest and no lock promise anything of this image")


def _known(names: tuple[str, ...]) -> None:
    known = sorted(path.stem for path in Path(checks.__file__).parent.glob("[a-z]*.py"))
    for name in names:
        if name not in known:
            raise StackbuildError(f"unknown contract: {name}", expected=", ".join(known))


def _tried(
    image: Image, wanted: tuple[str, ...], promises: Callable[[], Promised], ready: Ready
) -> Generator[tuple[str, Outcome], None, None]:
    with ready(image) as container:
        subject = Subject(image=image, container=container, env=image.env(), promised=promises)
        for name in wanted:
            module = import_module(f"builder.checks.{name}")
            try:
                for outcome in module.check(subject):
                    yield name, outcome
            except (StackbuildError, OSError) as error:
                yield name, Outcome(name="can be tried", problem=str(error))


def _note(project: Project, target: Target, runtime: str, found: Mapping[str, Sequence[Outcome]]) -> None:
    """Let `status` tell what contracts came to."""
    end = build.plan(project, (target,))[target].image
    assert end is not None
    scores = {
        name: Score(kept=sum(not one.problem for one in outcomes), tried=len(outcomes))
        for name, outcomes in found.items()
    }
    checked.note(project.store, end.plan_key, runtime, scores)


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
