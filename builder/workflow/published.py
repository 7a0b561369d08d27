"""What of a family is published, by digest: as this store's record has it, or as a tag in the registry names it now."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from builder.digest import Digest
from builder.errors import StackbuildError
from builder.manifest.model import Target
from builder.net import Client
from builder.offline import refuse
from builder.transports.registry import Registry
from builder.workflow import releases
from builder.workflow.network import environ_of, parted
from builder.workflow.project import Project
from builder.workflow.tags import Tags


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where to look.

    Attributes:
        repository: instead of the project's; `{image}` in it is what the image is called there.
        tag: which the registry is asked for; "" for what was pushed from this store, or was given a tag, last.
    """

    repository: str = ""
    tag: str = ""


def references(
    project: Project, targets: Sequence[Target], place: Place, told: Callable[[str], None] = lambda _: None
) -> dict[Target, str]:
    """HOST/PATH@DIGEST of each target's image over its platforms; what is not published is told, and left out.

    Raises:
        StackbuildError: nothing of it is published; the registry refuses, or does not answer; a tag is wanted, and
            this run may use no network.
    """
    names = {target: project.manifest.published(target, place.repository) for target in targets}
    wanted = tuple(dict.fromkeys(names.values()))
    known = _named(project, wanted, place.tag) if place.tag else _recorded(project, targets, names, told)
    if not known:
        raise _nothing(targets, wanted, place)
    for name in wanted:
        if name not in known:
            told(f"{name}: left out, as {f'it has no tag {place.tag}' if place.tag else 'it was not pushed from here'}")
    return {target: f"{name}@{known[name]}" for target, name in names.items() if name in known}


def _recorded(
    project: Project, targets: Sequence[Target], names: Mapping[Target, str], told: Callable[[str], None]
) -> dict[str, Digest]:
    """The newest line of each name counts, be it of a push, a promotion or a rollback."""
    latest = {one.name: one for one in releases.recorded(project, tuple(names.values()))}
    images = project.manifest.images
    for name, target in {names[target]: target for target in targets}.items():
        pushed = latest[name].platforms if name in latest else {}
        planned = project.manifest.platforms(images[target.image], target.variant)
        if pushed and (lacking := [one for one in planned if one not in pushed]):
            told(f"{name}: pushed from here without {', '.join(lacking)}; --tag TAG asks the registry what it has")
    return {name: one.digest for name, one in latest.items()}


def _named(project: Project, names: Sequence[str], tag: str) -> dict[str, Digest]:
    tags = Tags(project, [tag]).fixed
    if not tags:
        raise StackbuildError(f"not the name of one tag: {tag}", expected="a tag without {key}")
    environ = environ_of(project)
    refuse(environ, "a registry is asked what a tag names")
    client = Client(environ=environ)
    found = client.each(lambda name: Registry(client, *parted(name), environ).head(tags[0]), names)
    return {name: digest for name, digest in zip(names, found, strict=True) if digest is not None}


def _nothing(targets: Sequence[Target], names: Sequence[str], place: Place) -> StackbuildError:
    images = dict.fromkeys(target.image for target in targets)
    push = f"stackbuild push {' '.join(images) if len(images) < 4 else ''}".rstrip()
    if place.repository:
        push += f" --to {place.repository}"
    if place.tag:
        return StackbuildError(
            f"no such tag in the registry: {place.tag}", where="\n".join(names), next_step=f"{push} --tag {place.tag}"
        )
    return StackbuildError(
        f"not pushed from here: {', '.join(images)}",
        where="\n".join(names),
        expected="a digest, which only a pushed image has",
        next_step=f"{push}; or --tag TAG, for what the registry has under it",
    )
