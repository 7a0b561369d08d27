"""A reader of eStargz layers, written from the specification alone (stargz-snapshotter, docs/estargz.md).

It shares no code with the writer, and believes nothing: what the table of contents says is compared with what lies at
the offsets, and with the tar that who knows nothing of eStargz sees.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import struct
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

TOC = "stargz.index.json"
LANDMARKS = {".prefetch.landmark", ".no.prefetch.landmark"}
_TYPES = {
    tarfile.REGTYPE: "reg",
    tarfile.DIRTYPE: "dir",
    tarfile.SYMTYPE: "symlink",
    tarfile.LNKTYPE: "hardlink",
    tarfile.CHRTYPE: "char",
    tarfile.BLKTYPE: "block",
    tarfile.FIFOTYPE: "fifo",
}


@dataclass(frozen=True)
class Chunk:
    """A stretch of a file: `begin` and `size` in it, `offset` in the blob, `end` where the next one begins there."""

    begin: int
    size: int
    offset: int
    end: int
    digest: str


class Stargz:
    """An eStargz blob, opened as a runtime would that has read nothing but its end.

    Args:
        annotations: of the layer's descriptor.
    """

    def __init__(self, blob: bytes, annotations: Mapping[str, str]) -> None:
        self.blob = blob
        self.toc_offset = _footer(blob[-51:])
        assert 0 < self.toc_offset < len(blob) - 51
        raw = _one_member(blob[self.toc_offset : -51])
        with tarfile.open(fileobj=io.BytesIO(raw), mode="r:") as archive:
            (info,) = archive
            assert info.isreg()
            assert info.name == TOC
            stream = archive.extractfile(info)
            assert stream is not None
            text = stream.read()
        assert _digest(text) == annotations["containerd.io/snapshot/stargz/toc.digest"]
        toc = json.loads(text)
        assert toc["version"] == 1
        self.entries: list[dict[str, Any]] = [row for row in toc["entries"] if row["type"] != "chunk"]
        self.chunks: dict[str, list[Chunk]] = dict(self._placed(toc["entries"]))
        assert str(len(gzip.decompress(blob))) == annotations["io.containers.estargz.uncompressed-size"]

    def _placed(self, rows: list[dict[str, Any]]) -> Iterator[tuple[str, list[Chunk]]]:
        """The chunks of each file that has content."""
        offsets = [row["offset"] for row in rows if "offset" in row]
        assert offsets == sorted(set(offsets)), "an offset is used once, and they ascend as the entries do"
        ends = dict(zip(offsets, [*offsets[1:], self.toc_offset], strict=True))
        size, found, name = 0, list[Chunk](), ""
        for row in rows:
            if row["type"] == "chunk":
                assert row["name"] == name
                assert {"offset", "chunkOffset", "chunkDigest"} <= row.keys()
            else:
                size, found, name = row.get("size", 0), [], row["name"]
            if row["type"] not in {"reg", "chunk"} or not size:
                assert "offset" not in row
                continue
            begin = row.get("chunkOffset", 0)
            assert begin == sum(one.size for one in found), "chunks follow one another without a gap"
            length = row.get("chunkSize", 0) or size - begin
            found.append(Chunk(begin, length, row["offset"], ends[row["offset"]], row["chunkDigest"]))
            if begin + length == size:
                yield name, found

    def read(self, name: str) -> bytes:
        """A file's content, from its chunks alone, each verified."""
        found = b""
        for one in self.chunks.get(name, ()):
            data = gzip.GzipFile(fileobj=io.BytesIO(self.blob[one.offset : one.end])).read(one.size)
            first = _one_member(self.blob[one.offset :])
            assert first == data, "a chunk is a member of its own"
            assert _digest(data) == one.digest
            found += data
        return found

    def verify(self) -> None:
        """Everything that the specification demands, and that the plain tar says the same, entry by entry."""
        names = [row["name"] for row in self.entries]
        assert sum(name in LANDMARKS for name in names) == 1
        (landmark,) = (name for name in names if name in LANDMARKS)
        assert self.read(landmark) == b"\x0f"
        raw = gzip.decompress(self.blob)
        with tarfile.open(fileobj=io.BytesIO(raw), mode="r:", errors="surrogateescape") as archive:
            infos = list(archive)
            assert infos.pop().name == TOC
            for info, row in zip(infos, self.entries, strict=True):
                self._compare(archive, info, row)

    def _compare(self, archive: tarfile.TarFile, info: tarfile.TarInfo, row: Mapping[str, Any]) -> None:
        name = row["name"]
        assert name.rstrip("/") == info.name
        assert row["type"] == _TYPES[info.type]
        assert (row["mode"] & 0o7777, row["uid"], row["gid"]) == (info.mode, info.uid, info.gid)
        assert row.get("linkName", "") == info.linkname
        told = datetime.fromisoformat(row["modtime"]).timestamp() if "modtime" in row else 0
        assert told == info.mtime
        prefix = "SCHILY.xattr."
        known = {key[len(prefix) :]: value for key, value in info.pax_headers.items() if key.startswith(prefix)}
        own = {key: base64.b64decode(value, validate=True) for key, value in row.get("xattrs", {}).items()}
        assert own == {key: value.encode("utf-8", "surrogateescape") for key, value in known.items()}
        if row["type"] != "reg":
            assert row.keys().isdisjoint({"size", "offset", "digest", "chunkDigest", "chunkSize", "chunkOffset"})
            return
        stream = archive.extractfile(info)
        assert stream is not None
        content = stream.read()
        assert row.get("size", 0) == len(content) == info.size
        assert self.read(name) == content
        if content:
            assert row["digest"] == _digest(content)


def _footer(data: bytes) -> int:
    """The offset that an empty gzip member with an extra field `SG` says (RFC 1952 §2.3.1.1)."""
    assert len(data) == 51
    assert data[:4] == b"\x1f\x8b\x08\x04"
    length, ids, inner = struct.unpack("<H2sH", data[10:16])
    assert (length, ids, inner) == (26, b"SG", 22)
    assert data[32:38] == b"STARGZ"
    assert gzip.decompress(data) == b""
    return int(data[16:32], 16)


def _one_member(data: bytes) -> bytes:
    """What the first gzip member of some bytes holds."""
    return zlib.decompressobj(31).decompress(data)


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()
