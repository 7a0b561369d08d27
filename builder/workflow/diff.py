"""Compare two states of images: targets, git revisions, the working tree, images of a registry."""

from __future__ import annotations

from collections.abc import Sequence

from builder.comparison import compare, push, same
from builder.difference import Pair, Report, pair_name
from builder.errors import StackbuildError
from builder.manifest.model import Target
from builder.workflow import sides
from builder.workflow.advice import Names, Question, advice
from builder.workflow.contents import Scales
from builder.workflow.project import Project
from builder.workflow.reasons import Reasons
from builder.workflow.sides import Side, Word


def diff(project: Project, a: str = "", b: str = "", question: Question | None = None) -> Report:
    """What B has that A does not, and the other way round.

    Args:
        a: see `sides`; "" is what git calls HEAD.
        b: "" is the working tree. Where that is A as well, A's targets at HEAD come first.
        question: who is asked about advisories; nobody without it.

    Raises:
        StackbuildError: a word means nothing; a revision's manifest or a lock is damaged; a registry refuses; what
            `advice` raises.
    """
    old, new = _words(project, a, b)
    wanted = (_named(project, new, old), _named(project, old, new))
    with sides.opened(project, old, wanted[0]) as before, sides.opened(project, new, wanted[1]) as after:
        return _report(project, (old, before), (new, after), question)


_Whole = tuple[Word, Side]


def _report(project: Project, old: _Whole, new: _Whole, question: Question | None) -> Report:
    a, b = old[1], new[1]
    names = _names(a.targets, b.targets)
    if "image" in {old[0].kind, new[0].kind} or (
        old[0].targets and new[0].targets and old[0].targets != new[0].targets
    ):
        names = _met(names, old[0], new[0])
    pairs = {pair: None if _planned_alike(a, b, pair) else _contents(a, b, pair) for pair in names}
    held = a.layers([pair[0] for pair, one in pairs.items() if one is None and pair[0] is not None])
    scales, reasons = Scales(project.store), Reasons(a, b)
    found, alike = [], []
    for pair, both in pairs.items():
        if both is None:
            alike.append(pair_name(*map(str, pair)))
            continue
        one, other = both
        if one is not None and other is not None:
            if same(one, other):
                alike.append(pair_name(one.name, other.name))
                continue
            one, other = scales.weighed(one, other)
        found.append(reasons.given(compare(one, other), pair))
    return Report(
        a=old[0].label,
        b=new[0].label,
        same=tuple(alike),
        differences=tuple(found),
        push=push([one for one in pairs.values() if one is not None], held),
        advice=advice(question, a, b, names) if question is not None else None,
    )


def _planned_alike(a: Side, b: Side, pair: Names) -> bool:
    """Whether both sides have the same plan of a target: then nobody needs to look what they hold."""
    one, other = pair
    return one is not None and other is not None and a.keys.get(one, "a") == b.keys.get(other, "b")


def _contents(a: Side, b: Side, pair: Names) -> Pair:
    one, other = pair
    return (
        a.contents(one) if one is not None else None,
        b.contents(other) if other is not None else None,
    )


def _words(project: Project, a: str, b: str) -> tuple[Word, Word]:
    old = sides.read(project, a or "HEAD")
    if b:
        return old, sides.read(project, b)
    if old.kind == "tree":
        return sides.read(project, f"HEAD:{old.targets}" if old.targets else "HEAD"), old
    return old, Word(kind="tree", text=sides.TREE)


def _named(project: Project, one: Word, other: Word) -> str:
    """The targets that one word means for the other, if that names none itself; "" for all."""
    if one.kind == "image" and other.kind != "image" and not other.targets:
        return sides.published(project, one)
    return one.targets


def _names(a: Sequence[Target], b: Sequence[Target]) -> list[Names]:
    """What is compared with what: targets of one name, but for what each side has only one of.

    So `jupyter` is compared with `jupyter-scipy` on each platform, and an image of a registry with a target.
    """
    several = [
        part
        for part in ("image", "variant", "platform")
        if any(len({getattr(target, part) for target in side}) > 1 for side in (a, b))
    ]

    def key(target: Target) -> tuple[str, ...]:
        return tuple(getattr(target, part) for part in several)

    olds, news = ({key(target): target for target in side} for side in (a, b))
    return [(olds.get(one), news.get(one)) for one in dict.fromkeys((*news, *olds))]


def _met(names: Sequence[Names], old: Word, new: Word) -> list[Names]:
    """The pairs of which both sides are there: what was named is compared on the platforms that both sides have.

    Raises:
        StackbuildError: none.
    """
    found = [(one, other) for one, other in names if one is not None and other is not None]
    if not found:
        raise StackbuildError(
            f"nothing to compare: {old.text} and {new.text}",
            expected="a target of the same platform, and of one variant",
            got=", ".join(str(one) for pair in names for one in pair if one is not None)[:300],
        )
    return list(found)
