"""eStargz: gzip layers that a runtime can begin to use before it has them, by reading their table of contents first.

    header of landmark   landmark   header of a   content of a   …   table of contents, end of tar     footer
    └ gzip member ───┘   └ member ┘ └ member ─┘   └ member(s) ┘      └ gzip member ──────────────┘    └ empty member ┘
                         ▲                        ▲                  ▲
                         └ offset                 └ offset           └ said by the footer

Each file's content is a gzip member, as in `gzip.py`, of a large file one for each 4 MiB; where they begin, and the
sha256 of each, the table says (`stargz.index.json`, the last entry of the tar). It is a gzip layer like any other to
who does not know. Nothing is put first for a runtime to fetch at once: `.no.prefetch.landmark` says so.

A wheel's member is spliced, as one chunk whatever its size, as long as that is at most 16 MiB: readers keep a chunk in
memory whole. Larger ones are inflated and deflated again, in chunks.

Drawbacks: two more entries in each layer, which who unpacks layers sees in the root; about 100 bytes more a file.

Source: containerd/stargz-snapshotter, docs/estargz.md.
"""

from __future__ import annotations

import base64
import hashlib
import struct
from collections.abc import Mapping
from datetime import UTC, datetime

from builder.blob import Ahead, Blob
from builder.compression import Codec, gzip
from builder.digest import Digest, Json, canonical
from builder.errors import StackbuildError
from builder.tar import END, headers, padding, tar_name
from builder.tree import Bytes, Content, Entry, Member

MEDIA_TYPE = gzip.MEDIA_TYPE
PIECE = 4 << 20
TOC = "stargz.index.json"
LANDMARK = ".no.prefetch.landmark"
RESERVED = frozenset({TOC, LANDMARK, ".prefetch.landmark"})
_SPLICED = 16 << 20
"""A wheel's member of more bytes is cut into chunks."""
_TOC_LEVEL = 9
_TYPES = {"file": "reg", "hardlink": "hardlink", "link": "symlink", "dir": "dir", "whiteout": "reg"}
_DIGEST = "containerd.io/snapshot/stargz/toc.digest"
_RAW = "io.containers.estargz.uncompressed-size"


def codec() -> Codec:
    """See `builder.compression`."""
    known = gzip.codec()
    return {
        **{name: known[name] for name in ("codec", "level", "version")},
        "chunk": PIECE,
        "spliced": _SPLICED,
        "format": "estargz",
        "writer": 1,
    }


class Sink(gzip.Sink):
    """See `blob.Sink`."""

    piece = PIECE

    def __init__(self, blob: Blob, ahead: Ahead | None = None) -> None:
        super().__init__(blob, ahead)
        self._rows: list[dict[str, Json]] = []
        self._chunks: list[tuple[int, int, bytes]] = []
        landmark = Bytes(b"\x0f")
        entry = Entry(LANDMARK, "file", 0o644, content=landmark)
        self.begin(entry, headers(entry, landmark.size))
        self.content(landmark)
        self.pad(padding(landmark.size))

    def begin(self, entry: Entry, header: bytes) -> None:
        self._rows.append(_row(entry))
        super().begin(entry, header)

    def content(self, content: Content) -> bytes:
        self._chunks = []
        digest = super().content(content)
        if content.size:
            self._describe(content.size, digest)
        return digest

    def finish(self) -> Mapping[str, str]:
        self._flush()
        offset = self._blob.size
        toc = canonical({"version": 1, "entries": self._rows})
        entry = Entry(TOC, "file", 0o644, content=Bytes(toc))
        data = headers(entry, len(toc)) + toc + padding(len(toc)) + END
        self._blob.feed(data)
        self._member(gzip.deflated(data, _TOC_LEVEL), len(data))
        self._blob.emit(_footer(offset))
        return {_DIGEST: Digest.of(toc), _RAW: str(self._blob.raw)}

    def _splices(self, member: Member) -> bool:
        return super()._splices(member) and member.size <= _SPLICED

    def _wrote(self, offset: int, size: int, data: bytes | None) -> None:
        whole = data is None or (not self._chunks and size < PIECE)  # The file's own digest is the chunk's.
        self._chunks.append((offset, size, b"" if whole else hashlib.sha256(data or b"").digest()))

    def _describe(self, size: int, digest: bytes) -> None:
        """Say in the last row what content it has, and add a row for each further chunk of it."""
        row, done, last = self._rows[-1], 0, len(self._chunks) - 1
        row |= {"size": size, "digest": f"sha256:{digest.hex()}"}
        for number, (offset, length, own) in enumerate(self._chunks):
            if number:
                row = {"name": row["name"], "type": "chunk", "chunkOffset": done}
                self._rows.append(row)
            row |= {"offset": offset, "chunkDigest": f"sha256:{(own or digest).hex()}"}
            if number != last:  # A chunk that ends with its file says no size.
                row["chunkSize"] = length
            done += length


def _row(entry: Entry) -> dict[str, Json]:
    """What the table says of an entry but for its content."""
    name = tar_name(entry)
    row: dict[str, Json] = {
        "name": name,
        "type": _TYPES[entry.kind],
        "mode": entry.mode,
        "uid": entry.uid,
        "gid": entry.gid,
    }
    if entry.mtime:
        row["modtime"] = datetime.fromtimestamp(entry.mtime, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if entry.target:
        row["linkName"] = entry.target
    if entry.xattrs:
        row["xattrs"] = {label: base64.b64encode(value).decode() for label, value in entry.xattrs}
    try:
        (name + entry.target).encode()
    except UnicodeEncodeError:
        raise StackbuildError(
            f"eStargz has no way to write this name: {name!r}",
            where=entry.owner,
            expected="UTF-8",
            next_step='compression = "gzip" in [project] of stacks.toml',
        ) from None
    return row


def _footer(offset: int) -> bytes:
    """An empty gzip member whose extra field says where the table begins."""
    said = b"%016xSTARGZ" % offset
    extra = b"SG" + struct.pack("<H", len(said)) + said
    head = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff" + struct.pack("<H", len(extra)) + extra
    return head + b"\x01\0\0\xff\xff" + bytes(8)
