"""Images that pushed images name by digest, such as the kernel images of a gateway: they must be there to be pulled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from builder.digest import Digest
from builder.errors import StackbuildError, Unreachable, raise_all
from builder.manifest.model import Target
from builder.site import Planned
from builder.workflow.cargo import Told
from builder.workflow.project import Project
from builder.workflow.repositories import Repositories
from builder.workflow.shipment import Shipment


def references(project: Project, planned: Mapping[Target, Planned], target: Target) -> Iterator[str]:
    """HOST/PATH@DIGEST of each image that a built target names, as its layers have it; its ancestors' names too."""
    end = planned[target].image
    for need in end.needs.values() if end is not None else ():
        known = project.store.action(need.plan_key)
        if known is not None:
            yield from known["result"].get("names", ())


def refuse_absent(
    project: Project,
    planned: Mapping[Target, Planned],
    images: Sequence[Shipment],
    repositories: Repositories,
    *,
    elsewhere: bool,
    told: Told,
) -> None:
    """Look that what these images name is in its registry, or is pushed together with them.

    Args:
        elsewhere: they go to another place than the project's. What they name stays where the manifest says, since
            the name is in their layers; what is not there is only told then.

    Raises:
        Problems: it is not, and whoever pulls these images could not use them.
    """
    together = {(one.name, one.digest) for one in images}
    problems: dict[str, StackbuildError] = {}
    for one in images:
        for reference in references(project, planned, one.target):
            name, _, digest = reference.partition("@")
            if (name, digest) in together or reference in problems:
                continue
            if why := _absent(repositories, name, digest):
                problems[reference] = _problem(one, reference, why)
    if elsewhere:
        for error in problems.values():
            told(f"{error.what} ({error.got})")
        return
    raise_all(list(problems.values()))


def _absent(repositories: Repositories, name: str, digest: str) -> str:
    """Why it cannot be pulled from there, "" if it can."""
    try:
        found = repositories.upload(name).registry.head(digest)
    except Unreachable as error:
        return str(error.what)
    return "" if found == Digest(digest) else "the registry has no such image"


def _problem(one: Shipment, reference: str, why: str) -> StackbuildError:
    name = reference.partition("@")[0].rpartition("/")[2]
    return StackbuildError(
        f"{one.target} names an image that is not there: {reference}",
        expected="what it names to be pushed before it, or together with it",
        got=why,
        next_step=f"stackbuild push {name} {one.target.image}",
    )
