"""Save and load: built targets as one archive, for a file or for a Docker daemon."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from builder.digest import Digest
from builder.errors import StackbuildError
from builder.manifest.model import Target
from builder.replacing import replacing
from builder.site import Planned
from builder.transports import daemon, inflated
from builder.transports.archive import Format, stream
from builder.workflow.project import Project
from builder.workflow.shipment import path_of, shipments
from builder.workflow.tags import Tags


def archive(
    project: Project,
    planned: Mapping[Target, Planned],
    targets: Sequence[Target],
    form: Format,
    templates: Sequence[str] = (),
) -> tuple[tuple[str, ...], Iterator[bytes]]:
    """What the images are called, and the bytes of an archive with them; every blob is hashed again on the way.

    Args:
        templates: of tags, instead of the project's.
        form: `docker` has zstd layers as plain tars, which Docker of any version reads.

    Raises:
        StackbuildError: a target is not built; while reading: a blob is gone, or has changed.
    """
    tags, docker = Tags(project, templates), form == "docker"
    found = shipments(project, planned, targets)
    whole = {one.digest: one for one in found}
    called: dict[Digest, dict[str, None]] = {}
    for one in found:
        called.setdefault(one.digest, {}).update(dict.fromkeys(f"{one.name}:{tag}" for tag in tags.of(one.digest)))
    images = [
        inflated.archived(
            one.result, tuple(called[one.digest]), partial(path_of, project, planned, one), inflate=docker
        )
        for one in whole.values()
    ]
    return tuple(name for one in images for name in one.names), stream(images, form)


def write(path: Path, data: Iterator[bytes]) -> None:
    """Write an archive; the file appears whole or not at all.

    Raises:
        StackbuildError: it cannot be written.
    """
    device = path.exists() and not path.is_file()
    try:
        with path.open("wb") if device else replacing(path) as stream:
            for chunk in data:
                stream.write(chunk)
    except OSError as error:
        raise StackbuildError(f"cannot write {path}", got=str(error.strerror)) from None


def load(
    project: Project, planned: Mapping[Target, Planned], targets: Sequence[Target], templates: Sequence[str] = ()
) -> tuple[str, ...]:
    """Stream built targets into the Docker daemon; what they are called there.

    Raises:
        StackbuildError: a target is not built, or no daemon takes it.
    """
    names, data = archive(project, planned, targets, "docker", templates)
    daemon.load(data)
    return names
