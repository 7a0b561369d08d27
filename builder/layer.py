"""Tree → tar → compressed blob, in one pass: the only tar writer.

How the tar is compressed is the business of `compression/`; what stands in it is the same for all formats, but for
what a format adds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from builder import compression
from builder.blob import Ahead, Blob, Sink
from builder.compression import Codec
from builder.digest import Digest
from builder.errors import HostileInput
from builder.incoming import Incoming
from builder.tar import headers, padding
from builder.tree import Entry, Slice


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A layer in the store.

    Attributes:
        digest: of the compressed blob; `size` its bytes.
        diff_id: of the tar; `raw` its bytes.
        listing: one line per entry (`mode uid:gid size digest-or-target path owner`), in tar order, without what the
            format itself has added.
        annotations: for its descriptor.
    """

    digest: Digest
    diff_id: Digest
    size: int
    raw: int
    listing: str
    media_type: str
    annotations: Mapping[str, str] = field(default_factory=dict)


def write(
    entries: Iterable[Entry], incoming: Incoming, ahead: Ahead | None = None, *, codec: Codec | None = None
) -> Written:
    """Write sorted entries as one compressed layer and commit it.

    Args:
        ahead: saves time, and makes no difference to what is written.
        codec: of the layer's document; None for what will only be read here.

    Raises:
        HostileInput: a wheel's member is not what its wheel claims; nothing was kept then.
    """
    form = compression.of(codec or compression.codec(compression.DEFAULT))
    blob = Blob(incoming)
    sink: Sink = form.Sink(blob, ahead)
    lines: list[str] = []
    for entry in entries:
        if entry.path in form.RESERVED:
            continue
        mark = ""
        if entry.kind == "file" and entry.content is not None:
            sink.begin(entry, headers(entry, entry.content.size))
            digest = sink.content(entry.content)
            if isinstance(entry.content, Slice) and entry.content.digest not in {None, digest}:
                raise _differs(entry, entry.content.digest, digest)
            mark = digest.hex()[:32]
            sink.pad(padding(entry.content.size))
        else:
            sink.begin(entry, headers(entry, 0))
            mark = entry.target and f"-> {entry.target}"
        lines.append(_line(entry, mark))
    annotations = sink.finish()
    return Written(
        digest=blob.commit(),
        diff_id=blob.diff_id,
        size=blob.size,
        raw=blob.raw,
        listing="".join(lines),
        media_type=form.MEDIA_TYPE,
        annotations=annotations,
    )


def _line(entry: Entry, mark: str) -> str:
    size = entry.content.size if entry.content else 0
    head = f"{entry.kind} {entry.mode:04o} {entry.uid}:{entry.gid} {size} {escaped(mark) or '-'}"
    return f"{head}\t{escaped(entry.path)}\t{entry.owner}\n"


def escaped(text: str) -> str:
    """Text for a field of an entry list: a Debian package may name a file with a tab or a newline in it."""
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")


def _differs(entry: Entry, claim: bytes | None, digest: bytes) -> HostileInput:
    return HostileInput(
        f"a package is not what it claims: {entry.owner}",
        where=entry.path,
        expected=f"sha256 {claim.hex()[:16]}…" if claim else "",
        got=f"sha256 {digest.hex()[:16]}…; nothing was kept",
        next_step="report it to the package's authors, and pin another version",
    )
