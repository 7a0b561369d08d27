"""The foreign image that a family begins with, as a component of a bill of materials.

What it holds of the other kinds is theirs to list, from what `stackbuild lock` read in its layers.
"""

from __future__ import annotations

from collections.abc import Iterator

from builder.bill import Component, Subject
from builder.kinds.oci.lockfile import BaseLock
from builder.purls import purl


def components(subject: Subject) -> Iterator[Component]:
    """The image, by the digest of its manifest for the platform; and its Pythons that no package manager brought."""
    for target, lock in subject.pinned("oci"):
        if not isinstance(lock, BaseLock):
            continue
        place = f"{lock.host}/{lock.repository}" if lock.host else lock.repository
        yield Component(
            ref=f"oci:{place}",
            kind="oci",
            name=place,
            version=lock.tag or lock.manifest,
            image=target.image,
            purl=purl("oci", place.rpartition("/")[2], lock.manifest, repository_url=place, tag=lock.tag),
            type="container",
            digest=lock.manifest,
            asked=True,
        )
    known = {pin.field("prefix") for pin in subject.held("conda") if pin.name == "python"} | {"/usr"}
    for pin in subject.held("python"):
        prefix = pin.field("prefix")
        if prefix not in known:
            yield Component(
                ref=f"python:{prefix}",
                kind="python",
                name="python",
                version=pin.version,
                image=subject.base,
                purl=purl("generic", "python", pin.version),
                type="application",
                said=(("prefix", prefix),),
            )


def unlisted(subject: Subject) -> Iterator[str]:
    """What is in the image and in no list."""
    if not subject.base:
        return
    if any(subject.held(kind) for kind in ("apt", "conda", "pip", "python")):
        yield f"Of {subject.base}, packages of dpkg, pip and conda are listed; whatever else lies in it is not."
    else:
        yield f"The contents of {subject.base} are not listed: nothing in its layers says what they are."
