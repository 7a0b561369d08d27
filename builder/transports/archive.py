"""Images as one tar, written while it is read: for `docker load`, and for whatever reads the OCI layout.

Both formats hold the blobs once, under `blobs/sha256/`, whatever the number of images:

    oci      oci-layout, index.json     skopeo's `oci-archive:`, podman, containerd, nerdctl
    docker   those and manifest.json    `docker load` of any version; Docker 25 and newer write the same

Source: OCI image-spec v1.1, image-layout.md; Docker's "Image Tarball Manifest" (moby, image/spec).
"""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from builder.digest import Digest, Json, canonical
from builder.tree import NEWEST

Format: TypeAlias = Literal["oci", "docker"]
CHUNK = 1 << 20
"""Bytes that are read at a time."""
_REF = "org.opencontainers.image.ref.name"
_NAME = "io.containerd.image.name"
"""What containerd, and Docker with its image store, call an image after loading."""


@dataclass(frozen=True, slots=True)
class Source:
    """A blob to be read once; `size` in bytes."""

    size: int
    data: Iterable[bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Archived:
    """One image, and what it will be called.

    Attributes:
        descriptor: of its manifest.
        names: `registry.example.com/notebooks/jupyter:1.0`; each with a tag.
        layers: digests, lowest first.
        blobs: manifest, config and layers, each opened when its turn has come.
    """

    descriptor: Mapping[str, Any]
    config: Digest
    layers: Sequence[Digest]
    names: Sequence[str]
    blobs: Mapping[Digest, Callable[[], Source]]


def stream(images: Sequence[Archived], form: Format) -> Iterator[bytes]:
    """The bytes of the archive; equal for equal images, at any time."""
    yield from _text("oci-layout", canonical({"imageLayoutVersion": "1.0.0"}))
    yield from _text("index.json", canonical({"schemaVersion": 2, "manifests": list(_rows(images))}))
    if form == "docker":
        yield from _text("manifest.json", canonical([_docker(one) for one in images]))
    written: set[Digest] = set()
    for one in images:
        for digest, opened in one.blobs.items():
            if digest not in written:
                written.add(digest)
                yield from _entry(_place(digest), opened())
    yield bytes(2 * tarfile.BLOCKSIZE)


def _rows(images: Sequence[Archived]) -> Iterator[Json]:
    """The index's entries; a tag alone names an image where there is no other one."""
    for one in images:
        for name in one.names:
            ref = name.rpartition(":")[2] if len(images) == 1 else name
            yield {**one.descriptor, "annotations": {_NAME: name, _REF: ref}}


def _docker(one: Archived) -> Json:
    layers = [_place(digest) for digest in one.layers]
    return {"Config": _place(one.config), "RepoTags": list(one.names), "Layers": layers}


def _place(digest: Digest) -> str:
    return f"blobs/sha256/{digest.hex}"


def _text(name: str, data: bytes) -> Iterator[bytes]:
    yield from _entry(name, Source(len(data), [data]))


def _entry(name: str, source: Source) -> Iterator[bytes]:
    yield _header(name, source.size)
    yield from source.data
    yield bytes(-source.size % tarfile.BLOCKSIZE)


def file(path: Path) -> Source:
    """A blob as it lies on disk."""

    def read() -> Iterator[bytes]:
        with path.open("rb", buffering=0) as stream:
            while chunk := stream.read(CHUNK):
                yield chunk

    return Source(path.stat().st_size, read())


def _header(name: str, size: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = size, 0o644, NEWEST
    return member.tobuf(tarfile.PAX_FORMAT)
