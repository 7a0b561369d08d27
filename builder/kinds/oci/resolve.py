"""A reference in, two locks out: what it means for a platform, and what that image holds.

tag ─→ index ─→ the platform's manifest ─→ config ─→ layers, fetched and read once ─→ what they hold
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from builder.errors import HostileInput, StackbuildError
from builder.kinds.oci import documents
from builder.kinds.oci.archive import Layer
from builder.kinds.oci.inherited import inherited
from builder.kinds.oci.inherited_file import InheritedLock
from builder.kinds.oci.lockfile import BaseLayer, BaseLock, pin
from builder.kinds.oci.reference import Reference
from builder.kinds.oci.source import Source
from builder.kinds.oci.survey import Blobs, survey
from builder.lock import Pin
from builder.store import Store


def resolve(text: str, reference: Reference, source: Source, platform: str) -> BaseLock:
    """What a reference means now. Layers are not read yet: nobody knows their owners.

    Args:
        text: the reference as the manifest writes it.

    Raises:
        StackbuildError: there is no such image, or none for the platform, or none that can be built on.
        HostileInput: a document is not what was asked for, or no image.
    """
    document = source.document(reference.digest or reference.tag)
    index = document.digest
    if reference.digest and index != reference.digest:
        raise HostileInput(f"wrong digest: {reference}", expected=reference.digest, got=index)
    if documents.is_index(document):
        chosen = documents.choose(document, platform, str(reference))
        document = source.document(chosen)
        if document.digest != chosen:
            raise HostileInput(f"wrong digest: {reference}", expected=chosen, got=document.digest)
    described, layers = documents.manifest(document, str(reference))
    config = documents.config(
        source.blob(described.digest, described.size), platform, len(layers), f"config of {reference}"
    )
    name = (reference.host, reference.repository, reference.tag)
    return BaseLock(
        request=(text,),
        pins=(pin(name, "config", index, described.digest, described.size),),
        host=reference.host,
        repository=reference.repository,
        tag=reference.tag,
        index=index,
        manifest=document.digest,
        layers=tuple(
            BaseLayer(
                pin=pin(name, f"layer {number}", index, layer.digest, layer.size),
                media_type=documents.LAYER_TYPES[layer.media_type],
                diff_id=diff_id,
                uids=(),
            )
            for number, (layer, diff_id) in enumerate(zip(layers, config.diff_ids, strict=True), 1)
        ),
        defaults=config.defaults,
        history=config.history,
    )


def look_through(
    lock: BaseLock, platform: str, store: Store, fetch: Callable[[Sequence[Pin]], None]
) -> tuple[BaseLock, InheritedLock]:
    """The lock with its layers' owners, and what the image holds.

    Raises:
        StackbuildError: a layer cannot be fetched.
        HostileInput: a layer is not what its manifest and config claim, or may not be part of an image.
    """
    fetch([layer.pin for layer in lock.layers])
    found = survey(
        Blobs(
            layer=Layer(store.checked(store.source(layer.pin.digest)), f"{lock.name}, {layer.pin.filename}"),
            diff_id=layer.diff_id,
            name=f"{lock.name}, {layer.pin.filename}",
        )
        for layer in lock.layers
    )
    layers = tuple(replace(layer, uids=uids) for layer, uids in zip(lock.layers, found.uids, strict=True))
    architecture = platform.partition("/")[2].replace("/", "")
    return replace(lock, layers=layers), inherited(found, lock.manifest, architecture)


def gone(lock: BaseLock, error: StackbuildError, image: str) -> StackbuildError:
    """The error for a locked image that the registry does not have any more."""
    return StackbuildError(
        f"the locked image is gone: {lock.name}@{lock.index}",
        got=error.what,
        next_step=f"push it again, or take what the tag names now: stackbuild lock {image} --refresh-missing",
    )
