"""What of this family is in its registry already, by plan key: each pushed manifest has its key attached.

The key is attached, and not in the image: two plans that come to equal bytes are one image with two keys. Who can write
to the repository could attach a key to anything; but he could as well move its tags.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any

from builder.digest import Digest
from builder.kinds.oci import documents
from builder.manifest.model import Target
from builder.net import Client
from builder.site import Planned
from builder.transports import referrers
from builder.transports.referrers import Artifact
from builder.transports.registry import Registry
from builder.transports.upload import Upload
from builder.workflow.network import environ_of, parted
from builder.workflow.project import Project
from builder.workflow.shipment import Shipment

TYPE = "application/vnd.stackbuild.key.v1+json"
_KEY = "dev.stackbuild.key"
TARGET = "dev.stackbuild.target"


def attach(upload: Upload, one: Shipment, key: Digest) -> None:
    """Attach the plan key of a target to its pushed manifest."""
    said = {_KEY: key, TARGET: str(one.target)}
    referrers.attach(upload, one.descriptor, Artifact(type=TYPE, said=said))


def changed(
    project: Project,
    planned: Mapping[Target, Planned],
    targets: Sequence[Target],
    *,
    tag: str,
    repository: str = "",
) -> list[Target]:
    """Those of the targets that `tag` does not name in the registry as they are planned now.

    Args:
        repository: instead of the project's.

    Raises:
        StackbuildError: the registry refuses, or does not answer.
    """
    environ = environ_of(project)
    client = Client(environ=environ)

    def stands(target: Target) -> bool:
        registry = Registry(client, *parted(project.manifest.published(target, repository)), environ)
        return find(registry, [tag], target, key_of(planned, target)) is not None

    answers = client.each(stands, targets)
    return [target for target, there in zip(targets, answers, strict=True) if not there]


def find(
    registry: Registry, tags: Sequence[str], target: Target, key: Digest, *, other: Set[Digest] = frozenset()
) -> dict[str, Any] | None:
    """The descriptor of a target's manifest with that plan key, under the first of these tags that names it.

    Args:
        other: manifests that are known to be of other targets.
    """
    for tag in tags:
        found = manifest(registry, tag, target.platform)
        if found is None or found["digest"] in other:
            continue
        if any(said.get(_KEY) == key for said in referrers.attached(registry, found["digest"], TYPE)):
            return found
    return None


def key_of(planned: Mapping[Target, Planned], target: Target) -> Digest:
    """The plan key of a target's image."""
    end = planned[target].image
    assert end is not None
    return end.plan_key


def manifest(registry: Registry, tag: str, platform: str) -> dict[str, Any] | None:
    """The descriptor of a platform's manifest that a tag names, by way of an index; or of the only one, whatever it is
    for; None where there is none."""
    found = registry.found(f"{registry.base}/manifests/{tag}")
    if found is not None and documents.is_index(found):
        digest = documents.platforms(found, f"{registry.name}:{tag}").get(platform)
        found = registry.document(digest) if digest is not None else None
    if found is None:
        return None
    system, _, architecture = platform.partition("/")
    return {
        "mediaType": found.media_type,
        "digest": found.digest,
        "size": len(found.body),
        "platform": {"architecture": architecture, "os": system},
    }
