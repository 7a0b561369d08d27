"""Why a resolver found nothing, in words that tell what to do.

Each guess is tried before it is told: a conflict with an ancestor by solving without its pins, a cutoff by solving
without it. Only then is the resolver's own explanation all there is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from builder.cells import CellError
from builder.errors import Problems, StackbuildError, Unreachable, raise_all
from builder.kinds.pip import requirement
from builder.kinds.pip.askers import DIRECT
from builder.kinds.pip.choose import elsewhere, shortened, visible, wheel_tags
from builder.kinds.pip.index import Indexes
from builder.kinds.pip.page import released
from builder.kinds.pip.question import Attempt, NoSolution, PipQuestion, Solution
from builder.kinds.pip.target import environment
from builder.lock import Pin

CONDA = "conda"
"""The kind of pins that pip shares an environment with."""

Again = Callable[[Attempt], Solution]
"""Runs the resolver; raises NoSolution."""

Requires = Callable[[Solution], Sequence[tuple[str, str, str]]]
"""The active requirements of a solution's pins: (name, version, requirement)."""


def explain(error: NoSolution, attempt: Attempt, again: Again, requires: Requires, indexes: Indexes) -> StackbuildError:
    """The best error for a refusal."""
    question = attempt.question
    if question.inherited and (found := _moved_parent(attempt, again, requires)):
        return found
    if unfit := _no_wheel(error, question, indexes):
        return unfit
    if question.exclude_newer is not None and (hidden := _hidden(error, attempt, again, indexes)):
        return hidden
    return _beside_pins(error, question)


def _beside_pins(error: NoSolution, question: PipQuestion) -> NoSolution:
    """The resolver's own words, and where the pins that they are about come from."""
    words = "\n".join(error.explanation).replace(f"{DIRECT} requests ", "")  # A verb there, and a package's name too.
    named = set(re.findall(r"[A-Za-z0-9][A-Za-z0-9._-]*", words))
    error.where = "\n".join(
        f"{name}=={pin.version} is pinned by {image}"
        for name, (image, pin) in sorted(question.pinned.items())
        if name in {re.split("[=<>!~]", word)[0] for word in named}
    )
    return error


def direct_conflicts(question: PipQuestion) -> None:
    """Requests that an ancestor's pin does not meet; seen without a resolver.

    Raises:
        Problems: every such request.
    """
    problems: list[StackbuildError] = []
    values = environment(question.python, question.platform)
    for item in requirement.active((*question.request, *question.constraints), values):
        image, pin = question.pinned.get(requirement.name(item), ("", None))
        if pin is not None and not requirement.satisfies(pin.version, item):
            problems.append(_conflict(question, image, pin, item, DIRECT))
        elif pin is not None and pin.name in question.foreign and "[" in item:
            problems.append(_no_extras(image, pin, item))
    for name in sorted({requirement.name(item) for item in question.request}.intersection(question.without)):
        problems.append(
            StackbuildError(
                f"asked for and left out: {name}",
                where=question.image,
                next_step="remove it from pip, or from without",
            )
        )
    raise_all(problems)


def _no_extras(image: str, pin: Pin, item: str) -> StackbuildError:
    return StackbuildError(
        f"extras of what pip did not bring: {item}",
        where=f"{pin.name}=={pin.version} is pinned by {image}",
        next_step=f"ask for what the extra would bring, each by its own name, instead of {item}",
    )


def _conflict(question: PipQuestion, image: str, pin: Pin, item: str, who: str) -> StackbuildError:
    name, pinned = pin.name, pin.version
    child = question.image or "the child"
    because = f"{DIRECT} requests {item}" if who == DIRECT else f"because {who} requires {item}"
    lower = item if who == DIRECT else who.partition("==")[0]
    if pin.kind == CONDA:
        return StackbuildError(
            f"pip may not move what conda brings: {child} needs {item}, {image} pins {pinned}",
            where=f"{because}; {name}=={pinned} is {pin.filename} in the lock of {image} for {question.platform}",
            next_step=f"lower {lower}, or ask {image} for a {name} that fits {item} and: stackbuild lock",
        )
    return StackbuildError(
        f"child may not move its parent: {child} needs {item}, {image} pins {pinned}",
        where=f"{because}; {name}=={pinned} is pinned in the lock of {image} for {question.platform}",
        next_step=f'lower {lower}, or add constraints = ["{item}"] to {image} and: stackbuild lock {image} {child}',
    )


def _moved_parent(attempt: Attempt, again: Again, requires: Requires) -> StackbuildError | None:
    """Solved with the ancestors' pins as mere wishes, which of them move, and for whom?"""
    pinned = attempt.question.pinned
    try:
        free = again(replace(attempt, forced=False))
        asked = requires(free)
    except StackbuildError:
        return None
    problems: list[StackbuildError] = []
    for name, version, item in asked:
        image, pin = pinned.get(requirement.name(item), ("", None))
        if pin is not None and not requirement.satisfies(pin.version, item):
            problems.append(_conflict(attempt.question, image, pin, item, f"{name}=={version}"))
    return Problems(problems) if problems else None


_NO_WHEEL = re.compile(
    r"([\w.-]+?)((?:[=<>~!]=?[\w.+!*]+(?:,[=<>~!]=?[\w.+!*]+)*)?) "
    r"ha(?:s|ve) no (?:usable wheels|wheels with a matching)"
)


def _no_wheel(error: NoSolution, question: PipQuestion, indexes: Indexes) -> StackbuildError | None:
    """A release is there and no wheel of it fits: what is there instead, by the index itself."""
    found = _NO_WHEEL.search("\n".join(error.explanation))
    if found is None:
        return None
    name, versions = found.groups()
    fitting = question.fitting(name)
    files = [
        file
        for file in indexes.files(name, question.source(name))
        if (version := released(file.name, name)) and requirement.satisfies(str(version), name + versions)
    ]
    seen = [file for file in files if visible(file, fitting)]
    pythons = sorted({file.requires_python for file in files if file not in seen and file.requires_python})
    offered = sorted({str(tag) for file in files if file.is_wheel for tag in wheel_tags(file)})
    if not seen and pythons:
        got, step = f"it wants Python {' or '.join(pythons)}", "take another version of it"
    elif any(not file.is_wheel for file in seen):
        got = f"a source archive, and wheels for {shortened(offered)}" if offered else "source archives only"
        step = f'add "{name}" to sdists, so that it is built in the sandbox, or take another version of it'
    else:
        got = f"wheels for {shortened(offered)}"
        step = elsewhere(name, fitting)
    return CellError(
        f"no wheel for {name}{versions}",
        cell=fitting.cell,
        needs=fitting.needs,
        where="\n".join(line for line in error.explanation if not line.startswith(_HINTS)),
        got=got,
        next_step=step,
    )


_HINTS = ("Wheels are ", "You require CPython", "You're on ")
"""How uv's hints about wheels begin; the index tells the same for all tags at once."""


def _hidden(error: NoSolution, attempt: Attempt, again: Again, indexes: Indexes) -> StackbuildError | None:
    """The names that, let past the cutoff, make a solution; None if even without any cutoff there is none."""
    question = attempt.question
    cutoff = question.exclude_newer
    assert cutoff is not None
    try:
        free = again(attempt.without_cutoff())
    except StackbuildError:
        return None
    words = "\n".join(error.explanation).replace(f"{DIRECT} requests ", "")  # A verb there, and a package's name too.
    named = set(re.findall(r"[A-Za-z0-9][A-Za-z0-9._-]*", words))
    names = frozenset(name for name, _ in free if name in named and name not in question.pinned)
    late: Sequence[str] = ()
    if names:
        try:
            exempted = again(attempt.without_cutoff(names))
            late = list(_late(exempted, question, indexes))
        except NoSolution:
            late = ()
    late = late or list(_late(free, question, indexes))
    exempt = ", ".join(f'"{one.partition("==")[0]}"' for one in late)
    return StackbuildError(
        f"exclude-newer hides the only solution: pip, {question.where}",
        where=f"exclude-newer = {cutoff.isoformat().replace('+00:00', 'Z')}",
        expected="with it: " + ("; ".join(late[:10]) or "newer files"),
        got="\n".join(line for line in error.explanation if "exclude-newer-package" not in line),
        next_step=f"move exclude-newer, or add {exempt or 'the names'} to exempt: stackbuild lock",
    )


def _late(solution: Solution, question: PipQuestion, indexes: Indexes) -> Iterator[str]:
    """The pins of a solution that the cutoff hides: `name==version, uploaded 2026-11-06`."""
    assert question.exclude_newer is not None
    for name, version in solution:
        if name in question.exempt or name in question.pinned:
            continue
        try:
            files = indexes.files(name, question.source(name))
        except Unreachable:
            continue
        times = [file.uploaded for file in files if str(released(file.name, name)) == version]
        known = [time for time in times if time is not None]
        if not known:
            yield f"{name}=={version}, whose index tells no upload time"
        elif min(known) >= question.exclude_newer:
            yield f"{name}=={version}, uploaded {min(known):%Y-%m-%d}"
