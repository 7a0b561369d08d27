"""Why there is no solution, in words that tell what to do.

Each guess is tried before it is told: a conflict with an ancestor by solving with its pins only preferred, a cutoff by
solving without it. Only then is the solver's own explanation all there is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from builder.cells import CellError
from builder.errors import StackbuildError
from builder.kinds.conda import request
from builder.kinds.conda.question import CondaQuestion
from builder.kinds.conda.record import Record
from builder.kinds.conda.solve import NoSolution, Problem, solve
from builder.store import Store


def explain(error: NoSolution, question: CondaQuestion, problem: Problem, store: Store) -> StackbuildError:
    """The best error for a refusal."""
    if problem.pinned and (freed := _without_pins(question, problem, store)) is not None:
        return _moved_parent(error, question, freed)
    if problem.cutoff is not None and (later := _without_cutoff(problem, store)) is not None:
        return _hidden(error, question, problem, later)
    nothing = re.match(r"No candidates were found for (.+?)(?: \*)?\.$", error.explanation[0])
    if nothing is not None:
        return CellError(
            f"no conda package for {nothing[1]}",
            cell=str(question.target),
            needs=f"a package in {', '.join(problem.channels)} for {', '.join(_hardware(question))}",
            got="none",
            where="\n".join(_named(error, question)),
            next_step="correct the request, add the channel that has it, or narrow platforms or variants",
        )
    return StackbuildError(
        f"no solution: {question.target}, conda",
        where="\n".join(_named(error, question)),
        expected=f"packages for {', '.join(_hardware(question))}",
        got="\n".join(error.explanation),
        next_step=f"change {question.target.image} or its ancestors in stacks.toml, then: stackbuild lock",
    )


def _hardware(question: CondaQuestion) -> tuple[str, ...]:
    """The virtual packages that another variant or base would have otherwise."""
    return tuple(item for item in question.virtual if not item.startswith(("__unix", "__linux", "__archspec")))


def _without_pins(question: CondaQuestion, problem: Problem, store: Store) -> Mapping[str, Record] | None:
    """What would be chosen if the ancestors' records were only preferred; None where that does not help either.

    First beside all that they have; if that cannot be, what the child asks for alone.
    """
    names = tuple(one.name for one in problem.pinned)
    asked = tuple(request.spec(item) for item in question.request)
    for specs in ((*names, *asked), asked):
        freed = replace(problem, specs=specs, pinned=(), locked=(*problem.pinned, *problem.locked))
        try:
            return {one.name: one for one in solve(freed, store)}
        except (NoSolution, StackbuildError):
            continue
    return None


def _moved_parent(error: NoSolution, question: CondaQuestion, freed: Mapping[str, Record]) -> StackbuildError:
    moved = [
        (image, pin, freed[name])
        for name, (image, pin) in sorted(question.pinned.items())
        if name in freed and (pin.version, pin.field("build")) != (freed[name].version, freed[name].build)
    ]
    child = question.target.image
    # What the child itself asks for comes first: the rest follows from it.
    asked = {request.name(item) for item in question.request}
    moved.sort(key=lambda one: one[1].name not in asked)
    rows = [
        f"{child} needs {new.name}=={new.version}={new.build}, {image} pins {pin.version}={pin.field('build')}"
        for image, pin, new in moved
    ]
    image = moved[0][0] if moved else question.inherited[-1][0]
    return StackbuildError(
        f"child may not move its parent: {rows[0]}" if rows else f"child does not go with its parent: {child}, {image}",
        where="\n".join((f"{question.target}, conda", *rows[1:], *_named(error, question))),
        got="\n".join(error.explanation),
        next_step=f"ask for it in {image}, so that it moves there, or for less in {child}; then: stackbuild lock",
    )


def _without_cutoff(problem: Problem, store: Store) -> tuple[Record, ...] | None:
    try:
        return solve(replace(problem, cutoff=None), store)
    except (NoSolution, StackbuildError):
        return None


def _hidden(error: NoSolution, question: CondaQuestion, problem: Problem, later: tuple[Record, ...]) -> StackbuildError:
    assert problem.cutoff is not None
    limit = int(problem.cutoff.timestamp() * 1000)
    pinned = question.pinned
    # A record without a time is as good as new: nobody can tell.
    hidden = [one for one in later if one.name not in pinned and not 0 < one.timestamp < limit]
    return StackbuildError(
        f"exclude-newer hides the only solution: {question.target}, conda",
        where="\n".join(_named(error, question)),
        expected=f"packages from before {problem.cutoff:%Y-%m-%dT%H:%M:%SZ}",
        got=", ".join(f"{one.name}=={one.version}" for one in hidden[:10]) or "\n".join(error.explanation),
        next_step="move exclude-newer, or add to exempt: " + ", ".join(one.name for one in hidden[:10]),
    )


def _named(error: NoSolution, question: CondaQuestion) -> Iterator[str]:
    """The requests and ancestors' pins that the solver's words are about, and where they stand."""
    words = set(re.findall(r"[a-z0-9_][a-z0-9._-]*", "\n".join(error.explanation)))
    for item in question.request:
        if request.name(item) in words:
            yield f"{question.where(request.name(item))} asks {item}"
    for name, (image, pin) in sorted(question.pinned.items()):
        if name in words:
            yield f"{image} pins {name}=={pin.version}={pin.field('build')}"
