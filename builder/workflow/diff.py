"""Compare two states of images: targets, git revisions, the working tree, images of a registry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from builder.difference import Contents, Pair, Report, compare, pair_name, push, same
from builder.errors import StackbuildError
from builder.manifest.model import Target
from builder.workflow import sides
from builder.workflow.contents import Scales
from builder.workflow.project import Project
from builder.workflow.sides import Word


def diff(project: Project, a: str = "", b: str = "") -> Report:
    """What B has that A does not, and the other way round.

    Args:
        a: see `sides`; "" is what git calls HEAD.
        b: "" is the working tree. Where that is A as well, A's targets at HEAD come first.

    Raises:
        StackbuildError: a word means nothing; a revision's manifest or a lock is damaged; a registry refuses.
    """
    old, new = _words(project, a, b)
    wanted = (_named(project, new, old), _named(project, old, new))
    olds, news = (sides.side(project, word, named) for word, named in zip((old, new), wanted, strict=True))
    pairs = _pairs(olds, news)
    if "image" in {old.kind, new.kind} or (old.targets and new.targets and old.targets != new.targets):
        pairs = list(_met(pairs, old, new))
    equal = [one is not None and other is not None and same(one, other) for one, other in pairs]
    scales = Scales(project.store)
    found = []
    for (one, other), unchanged in zip(pairs, equal, strict=True):
        if unchanged:
            continue
        if one is not None and other is not None:
            one, other = scales.weighed(one, other)
        found.append(compare(one, other))
    return Report(
        a=old.label,
        b=new.label,
        same=tuple(
            pair_name(one.name, other.name)
            for (one, other), unchanged in zip(pairs, equal, strict=True)
            if unchanged and one is not None and other is not None
        ),
        differences=tuple(found),
        push=push(pairs),
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


def _pairs(a: Mapping[Target, Contents], b: Mapping[Target, Contents]) -> list[Pair]:
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

    olds = {key(target): found for target, found in a.items()}
    news = {key(target): found for target, found in b.items()}
    return [(olds.get(one), news.get(one)) for one in dict.fromkeys((*news, *olds))]


def _met(pairs: Sequence[Pair], old: Word, new: Word) -> list[tuple[Contents, Contents]]:
    """The pairs of which both sides are there: what was named is compared on the platforms that both sides have.

    Raises:
        StackbuildError: none.
    """
    found = [(one, other) for one, other in pairs if one is not None and other is not None]
    if not found:
        raise StackbuildError(
            f"nothing to compare: {old.text} and {new.text}",
            expected="a target of the same platform, and of one variant",
            got=", ".join(one.name for pair in pairs for one in pair if one is not None)[:300],
        )
    return found
