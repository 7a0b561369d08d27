"""Images of a registry, or of a folder in the OCI layout, to be compared: manifests and configs, never a layer."""

from __future__ import annotations

import re
from collections.abc import Iterator

from builder.difference import Contents, Layer
from builder.digest import Digest
from builder.errors import HostileInput
from builder.kinds.oci import documents
from builder.kinds.oci.reference import Reference
from builder.kinds.oci.source import Source, of
from builder.manifest.model import Target
from builder.net import Client
from builder.transports.document import Document
from builder.workflow.network import environ_of
from builder.workflow.project import Project

_MOST = 20
"""Platforms of an index that are looked at."""
_OURS = re.compile(r"stackbuild: (.+)")


def images(project: Project, reference: Reference) -> Iterator[tuple[Target, Contents]]:
    """The image on each platform of the project that it has; on all that it has if it is none of these.

    Each comes with a target that only its platform counts of. Layers are called as the config's history has it.

    Raises:
        Unreachable: no answer.
        StackbuildError: there is no such image, or the registry refuses.
        HostileInput: what came is no image, or not what was asked for.
    """
    environ = environ_of(project)
    source = of(reference, Client(environ=environ), project.manifest.folder, environ)
    top = source.document(reference.digest or reference.tag)
    name = str(reference)
    if not documents.is_index(top):
        yield _image(source, top, name)
        return
    there = documents.platforms(top, name)
    wanted = [one for one in project.manifest.project.platforms if one in there] or list(there)
    if len(wanted) > _MOST:
        raise HostileInput(f"too many platforms: {name}", expected=f"at most {_MOST}", got=str(len(wanted)))
    for platform in wanted:
        yield _image(source, source.document(there[platform]), name)


def _image(source: Source, document: Document, name: str) -> tuple[Target, Contents]:
    blob, layers = documents.manifest(document, name)
    body = source.blob(blob.digest, blob.size)
    platform = documents.platform_of(body, name)
    config = documents.config(body, platform, len(layers), name)
    told = [str(row.get("created_by", "")) for row in config.history if not row.get("empty_layer")]
    names = [_name(one) for one in told] if len(told) == len(layers) else [""] * len(layers)
    found = Contents(
        name=f"{name}, {platform}",
        manifest=document.digest,
        layers=tuple(
            Layer(name=called or f"layer {number}", digest=Digest(layer.digest), size=layer.size)
            for number, (layer, called) in enumerate(zip(layers, names, strict=True), 1)
        ),
        notes=("packages are not known of an image in a registry, only layers",),
    )
    return Target(name, "", platform), found


def _name(created_by: str) -> str:
    """What a layer of ours is called; of others, the beginning of the step that made it."""
    ours = _OURS.fullmatch(created_by)
    return ours[1] if ours else created_by[:60]
