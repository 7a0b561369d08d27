"""Foreign images, sound and hostile: layers member by member, in folders of the OCI layout."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zstandard

from builder.platforms import NATIVE

Member = tuple[tarfile.TarInfo, bytes]
INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
TAR = "application/vnd.oci.image.layer.v1.tar"
DOCKER = {
    INDEX: "application/vnd.docker.distribution.manifest.list.v2+json",
    MANIFEST: "application/vnd.docker.distribution.manifest.v2+json",
    CONFIG: "application/vnd.docker.container.image.v1+json",
    f"{TAR}+gzip": "application/vnd.docker.image.rootfs.diff.tar.gzip",
}


def member(
    name: str,
    kind: bytes = tarfile.REGTYPE,
    data: bytes = b"",
    *,
    link: str = "",
    mode: int = 0o644,
    ids: tuple[int, int] = (0, 0),
) -> Member:
    """A member of a layer, as it is written: names are not put in order."""
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, len(data), link
    info.mode, info.uid, info.gid, info.mtime = mode, *ids, 1_700_000_000
    return info, data


def file(name: str, text: str = "", *, mode: int = 0o644, ids: tuple[int, int] = (0, 0)) -> Member:
    return member(name, data=text.encode(), mode=mode, ids=ids)


def folder(name: str, *, mode: int = 0o755, ids: tuple[int, int] = (0, 0)) -> Member:
    return member(name, tarfile.DIRTYPE, mode=mode, ids=ids)


def link(name: str, target: str) -> Member:
    return member(name, tarfile.SYMTYPE, link=target, mode=0o777)


def tar(members: Sequence[Member]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


@dataclass
class Image:
    """An image for one platform.

    Attributes:
        layers: members of each, lowest first.
        packing: how each is compressed: "gzip", "zstd" or "".
        docker: with Docker's media types instead of OCI's.
    """

    layers: Sequence[Sequence[Member]]
    config: Mapping[str, Any] = field(default_factory=dict)
    platform: str = NATIVE
    packing: str = "gzip"
    docker: bool = False
    history: Sequence[Mapping[str, Any]] = ()

    def kind(self, name: str) -> str:
        return DOCKER[name] if self.docker else name

    def write(self, layout: Path) -> dict[str, Any]:
        """Put its blobs into a layout; the manifest's descriptor."""
        system, _, machine = self.platform.partition("/")
        rows, diff_ids = [], []
        for members in self.layers:
            plain = tar(members)
            packed = {"gzip": lambda data: gzip.compress(data, mtime=0), "zstd": zstandard.compress}.get(self.packing)
            data = packed(plain) if packed else plain
            name = self.kind(f"{TAR}+{self.packing}" if self.packing else TAR)
            rows.append(put(layout, data, name))
            diff_ids.append(digest(plain))
        config = {
            "architecture": machine,
            "os": system,
            "config": self.config,
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
            "history": self.history,
        }
        described = put(layout, json.dumps(config).encode(), self.kind(CONFIG))
        manifest = {
            "schemaVersion": 2, "mediaType": self.kind(MANIFEST), "config": described, "layers": rows,
        }  # fmt: skip
        found = put(layout, json.dumps(manifest).encode(), self.kind(MANIFEST))
        return {**found, "platform": {"os": system, "architecture": machine}}


def put(layout: Path, data: bytes, media_type: str) -> dict[str, Any]:
    """A blob in a layout; its descriptor."""
    blobs = layout / "blobs/sha256"
    blobs.mkdir(parents=True, exist_ok=True)
    name = digest(data)
    (blobs / name[7:]).write_bytes(data)
    return {"mediaType": media_type, "digest": name, "size": len(data)}


def tagged(layout: Path, tag: str, *images: Image, index: bool = False) -> str:
    """Write images into a layout under one tag, below an index if there are several; what the tag names."""
    rows = [image.write(layout) for image in images]
    found = rows[0]
    if index or len(rows) > 1:
        text = {"schemaVersion": 2, "mediaType": images[0].kind(INDEX), "manifests": rows}
        found = put(layout, json.dumps(text).encode(), images[0].kind(INDEX))
    path = layout / "index.json"
    known = json.loads(path.read_bytes())["manifests"] if path.exists() else []
    kept = [one for one in known if one["annotations"]["org.opencontainers.image.ref.name"] != tag]
    kept.append({**found, "annotations": {"org.opencontainers.image.ref.name": tag}})
    path.write_text(json.dumps({"schemaVersion": 2, "manifests": kept}))
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return str(found["digest"])
