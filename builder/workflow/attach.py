"""Attach to pushed images what is known of them: bills of materials and provenance, as OCI referrers.

It is a step of its own, after `push`: whoever pushes may be another job than whoever vouches, what was pushed long ago
can get what it lacks, and a registry that takes images but no artifacts fails this and not that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from builder.digest import Digest
from builder.errors import StackbuildError
from builder.exports import media_type, provenance_slsa, renderer
from builder.manifest.model import Target
from builder.net import Client
from builder.offline import refuse
from builder.site import Planned
from builder.transports import referrers
from builder.transports.referrers import Artifact
from builder.workflow.bill import bill
from builder.workflow.network import environ_of
from builder.workflow.project import Project
from builder.workflow.provenance import provenance
from builder.workflow.pushed import TARGET
from builder.workflow.repositories import Repositories
from builder.workflow.shipment import Shipment, shipments

_PREDICATE = "in-toto.io/predicate-type"
"""By this annotation, tools tell one in-toto statement from another without pulling it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What to attach.

    Attributes:
        sboms: formats, each once.
        builder: of the provenance, "" for the one that promises nothing.
    """

    sboms: tuple[str, ...] = ()
    provenance: bool = False
    builder: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """What is attached to an image now.

    Attributes:
        name: what the image is called; `subject` is the digest of its manifest.
        type: the artifact's type; `digest` of its manifest.
        new: whether it was not there before.
    """

    target: Target
    name: str
    subject: Digest
    type: str
    digest: Digest
    new: bool


def attach(
    project: Project,
    planned: Mapping[Target, Planned],
    targets: Sequence[Target],
    wanted: Wanted,
    *,
    repository: str = "",
    told: Callable[[str], None] = lambda _: None,
) -> tuple[Attached, ...]:
    """Attach to the manifests of built and pushed targets what is wanted; what is there already is not sent again.

    Args:
        repository: instead of the project's.

    Raises:
        StackbuildError: nothing is wanted, or in a format that there is not; a target is not built, or not pushed; the
            registry refuses; this run may use no network.
        Unreachable: the registry does not answer.
    """
    if not wanted.sboms and not wanted.provenance:
        raise StackbuildError("nothing to attach", expected="--sbom cyclonedx, --sbom spdx, --provenance")
    for form in wanted.sboms:
        renderer("sbom", form)
    images = shipments(project, planned, targets, repository)
    environ = environ_of(project)
    refuse(environ, "bills of materials are attached to images of a registry")
    repositories = Repositories(Client(environ=environ), environ)
    for one in images:
        if repositories.upload(one.name).registry.head(one.digest) != one.digest:
            raise StackbuildError(
                f"not pushed: {one.target}",
                where=f"{one.name}@{one.digest}",
                next_step=f"stackbuild push {one.target}" + (f" --to {repository}" if repository else ""),
            )
    found = []
    for one in images:
        for artifact in _artifacts(project, planned, one, wanted):
            new = referrers.attach(repositories.upload(one.name), one.descriptor, artifact)
            told(f"{one.target}: {artifact.type} {'attached' if new else 'is attached already'}")
            digest = Digest.of(artifact.manifest(one.descriptor))
            found.append(
                Attached(
                    target=one.target, name=one.name, subject=one.digest, type=artifact.type, digest=digest, new=new
                )
            )
    return tuple(found)


def _artifacts(
    project: Project, planned: Mapping[Target, Planned], one: Shipment, wanted: Wanted
) -> Iterator[Artifact]:
    said = {TARGET: str(one.target)}
    if wanted.sboms:
        contents = bill(project, planned, one.target)
        for form in dict.fromkeys(wanted.sboms):
            data = renderer("sbom", form)(contents).encode()
            yield Artifact(type=media_type("sbom", form), said=said, data=data, filename=f"sbom.{form}.json")
    if wanted.provenance:
        data = provenance_slsa.render(
            provenance(project, planned, one.target, builder=wanted.builder, name=one.name)
        ).encode()
        yield Artifact(
            type=provenance_slsa.MEDIA_TYPE,
            said={**said, _PREDICATE: provenance_slsa.PREDICATE},
            data=data,
            filename="provenance.slsa.json",
        )
