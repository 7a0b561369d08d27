"""Images that were built elsewhere, for instance with a Dockerfile on top of one of ours, brought into the store."""

from __future__ import annotations

import os
from pathlib import Path

from builder.built import Image
from builder.digest import Digest
from builder.errors import HostileInput
from builder.kinds.oci import source
from builder.kinds.oci.archive import Layer
from builder.kinds.oci.lockfile import BaseLayer
from builder.kinds.oci.reference import parse
from builder.kinds.oci.resolve import resolve
from builder.net import Client
from builder.platforms import NATIVE
from builder.store import Store
from builder.user_config import environment


def fetch(store: Store, text: str, folder: Path) -> Image:
    """The image that a reference means for this machine's platform now, whole.

    Nothing names it in the store, so the next `gc` takes what it alone needs.

    Args:
        text: as in `from = "oci:…"`, with `oci:` or without.
        folder: where the path of an OCI layout counts from.

    Raises:
        StackbuildError: there is no such image, or none for this platform.
        HostileInput: what came is not what its manifest and config claim.
    """
    reference = parse(text.removeprefix("oci:"), "the command line")
    client, environ = Client(), environment(os.environ)
    place = source.of(reference, client, folder, environ)
    lock = resolve(text, reference, place, NATIVE)
    manifest = place.document(lock.manifest)
    (config,) = lock.pins
    store.put_blob(manifest.body)
    store.put_blob(place.blob(config.digest, config.size))
    for layer in lock.layers:
        _bring(store, client, place.url(layer.pin.digest), layer)
    layers = [
        {"name": f"{reference.name}, layer {number}", "digest": one.pin.digest, "diff_id": one.diff_id}
        | {"size": one.pin.size, "media_type": one.media_type}
        for number, one in enumerate(lock.layers, 1)
    ]
    descriptor = {"mediaType": manifest.media_type, "digest": lock.manifest, "size": len(manifest.body)}
    return Image(store, {"manifest": descriptor, "config": config.digest, "layers": layers})


def _bring(store: Store, client: Client, url: str, layer: BaseLayer) -> None:
    """One layer; most of a child's are its parent's, which are there."""
    digest = Digest(layer.pin.digest)
    if not store.blob(digest).exists():
        with store.new_blob() as incoming:
            client.download([url], digest=digest, size=layer.pin.size, into=incoming)
    if (store.path / "roots" / f"layer-{Digest(layer.diff_id).hex}").is_dir():
        return  # It was judged, and is unpacked under the name of what it holds.
    judged = Layer(store.checked(store.blob(digest)), layer.pin.filename)
    for _ in judged:
        pass
    if judged.diff_id != layer.diff_id:
        raise HostileInput(f"wrong diff ID: {layer.pin.filename}", expected=layer.diff_id, got=judged.diff_id)
