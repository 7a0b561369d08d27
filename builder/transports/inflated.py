"""Images for whoever knows no zstd, as Docker before 23: zstd layers as plain tars, under a manifest that says so.

The config names layers by their diff IDs, so it is the same, and with it the image ID.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from builder.digest import Digest, canonical
from builder.errors import HostileInput
from builder.transports.archive import CHUNK, Archived, Source, file
from builder.unpacked import DecompressionError, decompressed

_TAR = "application/vnd.oci.image.layer.v1.tar"
_ZSTD = f"{_TAR}+zstd"

PathOf = Callable[[Digest], Path]
"""Where a blob lies, checked."""


def archived(result: Mapping[str, Any], names: tuple[str, ...], path_of: PathOf, *, inflate: bool) -> Archived:
    """A built image for an archive.

    Args:
        result: of its action: `manifest`, a descriptor, `config`, a digest, and `layers`.
        inflate: write zstd layers as plain tars.

    Raises:
        HostileInput: a layer of a foreign base is not what its config says.
    """

    def opened(digest: Digest) -> Source:
        return file(path_of(digest))

    whole, config = Digest(result["manifest"]["digest"]), Digest(result["config"])
    layers = [Digest(layer["digest"]) for layer in result["layers"]]
    if not inflate or all(layer["media_type"] != _ZSTD for layer in result["layers"]):
        blobs = {digest: partial(opened, digest) for digest in (whole, config, *layers)}
        return Archived(descriptor=result["manifest"], config=config, layers=layers, names=names, blobs=blobs)
    manifest = json.loads(path_of(whole).read_bytes())
    found: dict[Digest, Callable[[], Source]] = {}
    for number, layer in enumerate(result["layers"]):
        if layer["media_type"] != _ZSTD:
            found[layers[number]] = partial(opened, layers[number])
            continue
        digest, size = Digest(layer["diff_id"]), _size(layer, path_of)
        found[digest] = partial(_plain, path_of, layers[number], size)
        layers[number] = digest
        manifest["layers"][number] = {"mediaType": _TAR, "digest": digest, "size": size}
    body = canonical(manifest)
    digest = Digest.of(body)
    own: dict[Digest, Callable[[], Source]] = {
        digest: partial(Source, len(body), [body]),
        config: partial(opened, config),
    }
    descriptor = {**result["manifest"], "digest": digest, "size": len(body)}
    return Archived(descriptor=descriptor, config=config, layers=layers, names=names, blobs=own | found)


def _plain(path_of: PathOf, digest: Digest, size: int) -> Source:
    return Source(size, _inflated(path_of(digest)))


def _inflated(path: Path) -> Iterator[bytes]:
    with decompressed(path) as stream:
        while chunk := stream.read(CHUNK):
            yield chunk


def _size(layer: Mapping[str, Any], path_of: PathOf) -> int:
    """Bytes of a layer's tar; one that is only referred to is read for it, and its diff ID with it."""
    if "raw" in layer:
        return int(layer["raw"])
    size, hasher = 0, hashlib.sha256()
    try:
        for chunk in _inflated(path_of(Digest(layer["digest"]))):
            size += len(chunk)
            hasher.update(chunk)
    except DecompressionError as error:
        raise HostileInput(f"layer {layer['name']} is damaged", got=str(error)) from None
    if hasher.hexdigest() != Digest(layer["diff_id"]).hex:
        raise HostileInput(f"wrong diff ID: {layer['name']}", expected=layer["diff_id"], got=hasher.hexdigest())
    return size
