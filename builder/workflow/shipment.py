"""Built targets on their way out of the store: to a registry, a daemon, a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builder.digest import Digest
from builder.errors import StackbuildError
from builder.manifest.model import Target
from builder.site import Planned
from builder.workflow import build
from builder.workflow.project import Project


@dataclass(frozen=True, slots=True)
class Shipment:
    """A built target.

    Attributes:
        name: what it is called elsewhere, without a tag: `registry.example.com/notebooks/jupyter`.
        descriptor: of its manifest, with its platform.
        layers: as the result of the image's action has them, lowest first.
    """

    target: Target
    name: str
    descriptor: Mapping[str, Any]
    config: Digest
    layers: Sequence[Mapping[str, Any]]

    @property
    def result(self) -> Mapping[str, Any]:
        """As the image's action gave it."""
        return {"manifest": self.descriptor, "config": self.config, "layers": self.layers}

    @property
    def digest(self) -> Digest:
        """Of its manifest."""
        return Digest(self.descriptor["digest"])


def ready(
    project: Project,
    planned: Mapping[Target, Planned],
    targets: Sequence[Target],
    *,
    named: bool = True,
    some: bool = True,
) -> tuple[list[Target], list[Target]]:
    """The targets that are built as manifest and locks now say, and those that are not.

    Args:
        named: whether somebody asked for these targets; then each image must be built for one platform at least.
        some: whether one target must be built in any case.

    Raises:
        StackbuildError: an image that was asked for is built for no platform; or none is.
    """
    built: list[Target] = []
    left: list[Target] = []
    for target in targets:
        end = planned[target].image
        known = end is not None and project.store.has_action(end.plan_key)
        (built if known else left).append(target)
    families = {(one.image, one.variant) for one in built}
    for target in left if named or (some and not built) else ():
        if (target.image, target.variant) not in families:
            raise StackbuildError(f"not built: {target}", next_step=f"stackbuild build {target.image}")
    return built, left


def shipments(
    project: Project, planned: Mapping[Target, Planned], targets: Sequence[Target], repository: str = ""
) -> list[Shipment]:
    """What is built of these targets.

    Args:
        repository: instead of the project's; `{image}` in it is what an image is called there.

    Raises:
        StackbuildError: a target is not built.
    """
    found = []
    for target in targets:
        result = build.result(project, planned, target)
        name = project.manifest.published(target, repository)
        found.append(Shipment(target, name, result["manifest"], Digest(result["config"]), result["layers"]))
    return found


def blobs(project: Project, one: Shipment) -> Iterator[tuple[Digest, int]]:
    """Digest and size (bytes) of its layers and its config."""
    for layer in one.layers:
        yield Digest(layer["digest"]), int(layer["size"])
    yield one.config, project.store.blob(one.config).stat().st_size


def path_of(project: Project, planned: Mapping[Target, Planned], one: Shipment, digest: Digest) -> Path:
    """Where one of its blobs lies, hashed again; a layer of a foreign base is fetched if that was not needed so far.

    Raises:
        HostileInput: its bytes have changed.
        StackbuildError: it is gone.
    """
    path = project.store.blob(digest)
    if not path.exists():
        build.complete(project, planned, one.target)
    if not path.exists():
        raise StackbuildError(
            f"a blob of {one.target} is gone from the store: {path}", next_step=f"stackbuild build {one.target.image}"
        )
    return project.store.checked(path)
