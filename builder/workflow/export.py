"""Targets, an image or a family, in a format that other tools read."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from builder.errors import StackbuildError
from builder.exports import Scope, Subject, format_of
from builder.fetching import Fetcher
from builder.manifest.model import Target
from builder.workflow import published
from builder.workflow.project import Project
from builder.workflow.published import Place


def export(
    project: Project,
    targets: Sequence[Target],
    form: str,
    *,
    reader: str = "",
    place: Place | None = None,
    told: Callable[[str], None] = lambda _: None,
) -> str:
    """The text of these targets in a format of `exports/`.

    Args:
        targets: in the manifest's order; as many as the format is about.
        reader: the program that the text is for, if several read the format, each in a way of its own.
        place: where the digests of published images come from; from this store's record of the project's repository
            by default.

    Raises:
        StackbuildError: no such format, or no such reader of it; it is about one target or image, and these are more;
            the targets have nothing for it; a lock is missing; nothing is published.
    """
    found = format_of(form)
    _fit(found.scope, targets, form)
    _known(found.readers, reader, form)
    if place is not None and not found.digests:
        raise StackbuildError(f"{form} names no published images", got="a tag or a place to look for them")
    subject = Subject(
        manifest=project.manifest,
        locks=project.locks,
        targets=tuple(targets),
        urls=Fetcher(project.manifest, project.store).urls,
        references=lambda wanted: published.references(project, wanted, place or Place(), told),
        reader=reader,
    )
    return found.export(subject)


def _fit(scope: Scope, targets: Sequence[Target], form: str) -> None:
    """Raises: StackbuildError: these are more than a format of that scope is about."""
    if scope is Scope.FAMILY:
        return
    one = scope is Scope.TARGET
    names = list(dict.fromkeys(str(each) if one else f"{each.image}:{each.variant}" for each in targets))
    if len(names) > 1:
        raise StackbuildError(
            f"several {'targets' if one else 'images'}: {form} is about {scope.value}",
            got=", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else ""),
            next_step=f"stackbuild export {form} {names[0]}",
        )


def _known(readers: Sequence[str], reader: str, form: str) -> None:
    """Raises: StackbuildError: the format has readers, and this is none of them; or it has none."""
    if not readers and reader:
        raise StackbuildError(f"{form} is the same for whoever reads it", got=f"--for {reader}")
    if readers and reader not in readers:
        raise StackbuildError(
            f"no reader of {form}: {reader}" if reader else f"{form} needs a reader",
            expected=f"--for {', '.join(readers[:-1])} or {readers[-1]}",
        )
