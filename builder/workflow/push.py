"""Push: blobs, manifests, indexes, and tags at last, so that no tag ever names what is not whole.

HEAD of each manifest ─→ blobs of those that are missing (`cargo.py`): HEAD, mount from where they are, or upload
                                   │
      tags ←── indexes (`names.py`) ←── keys ←── manifests by digest
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from builder.digest import Digest
from builder.errors import StackbuildError
from builder.manifest.model import Target
from builder.net import Client
from builder.offline import refuse
from builder.site import Planned
from builder.workflow import join, named, pushed, released, releases
from builder.workflow.cargo import Cargo, Told, Traffic
from builder.workflow.names import Group, Names
from builder.workflow.network import environ_of, parted
from builder.workflow.project import Project
from builder.workflow.releases import Release
from builder.workflow.repositories import Repositories
from builder.workflow.shipment import Shipment, shipments
from builder.workflow.tags import Tags


def push(
    project: Project,
    planned: Mapping[Target, Planned],
    targets: Sequence[Target],
    *,
    repository: str = "",
    templates: Sequence[str] = (),
    partial: bool = False,
    told: Told = lambda _: None,
) -> tuple[tuple[Release, ...], Traffic]:
    """Push built targets; those of one image and variant become one index.

    Args:
        repository: instead of the project's; `{image}` in it is what the image is called there.
        templates: of tags, instead of the project's.
        partial: whether a tag may come to name fewer platforms than it does.

    Raises:
        Problems, StackbuildError: a target is not built, or names an image that is not there; the registry refuses, or
            does not answer; this run may use no network.
    """
    tags = Tags(project, templates)
    tags.of(Digest.of(b""))  # What is wrong with them is said before anything is sent.
    images = shipments(project, planned, targets, repository)
    _refuse_mixtures(images)
    names = list(dict.fromkeys(one.name for one in images))
    for name in names:
        parted(name)
    environ = environ_of(project)
    refuse(environ, "images are pushed to a registry")
    client = Client(environ=environ)
    repositories = Repositories(client, environ)
    cargo, given = Cargo(project, planned, repositories, repository, told), Names(project, planned, repositories, told)

    def has(one: Shipment) -> bool:
        return repositories.upload(one.name).registry.head(one.digest) == one.digest

    def write(one: Shipment) -> None:
        body = project.store.checked(project.store.blob(one.digest)).read_bytes()
        repositories.upload(one.name).manifest(one.digest, one.descriptor["mediaType"], body)
        told(f"{one.target}: pushed to {one.name}")

    def attach(one: Shipment) -> None:
        """A registry may take images and no artifacts; the image is worth pushing without its key."""
        try:
            pushed.attach(repositories.upload(one.name), one, pushed.key_of(planned, one.target))
        except StackbuildError as error:
            told(
                f"{one.target}: its key is not attached, so `build --pushed` will not know it: {error.what} {error.got}"
            )

    named.refuse_absent(project, planned, images, repositories, elsewhere=bool(repository), told=told)
    absent = [one for one, there in zip(images, client.each(has, images), strict=True) if not there]
    cargo.know(images)
    client.each(cargo.bring, cargo.blobs(absent))
    client.each(write, absent)
    client.each(attach, images)
    missing = join.missing(project, [one.target for one in images])
    groups = [Group(tags, [one for one in images if one.name == name], missing) for name in names]
    client.each(given.apart, groups)
    ends = client.each(given.index, groups)
    if not partial:
        ends = client.each(given.unharmed, zip(groups, ends, strict=True))
    moved = client.each(given.tag, [(one, tag) for one in ends for tag in one.tags])
    if any(moved):
        ends = client.each(given.again, zip(groups, ends, strict=True))
    released.remember(project, ends, images)
    releases.record(project.store, ends)
    return tuple(ends), cargo.traffic


def _refuse_mixtures(images: Sequence[Shipment]) -> None:
    """Raises: StackbuildError: two images, or two variants of one, would have one name."""
    first: dict[str, Shipment] = {}
    for one in images:
        other = first.setdefault(one.name, one)
        if (one.target.image, one.target.variant) != (other.target.image, other.target.variant):
            raise StackbuildError(
                f"several images, one place: {one.name}",
                got=f"{other.target} and {one.target}",
                expected="a place with {image} in it, for which each image and variant has a name",
            )
