"""Write the layers of an action: parts of a tree, each by one process."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from builder import ahead
from builder.action import Workshop
from builder.compression import Codec
from builder.digest import Digest
from builder.layer import write
from builder.store import Store
from builder.tree import Entry


def write_part(
    store: Store, name: str, entries: Iterable[Entry], codec: Codec, deflated: Path | None = None
) -> dict[str, Any]:
    """Write one part as a layer and return its result, as kept in the store:

    `{"name", "digest", "diff_id", "size", "raw", "media_type", "listing"}`, sizes in bytes, `listing` the digest of
    the layer's entry list among the store's sources; where the format has any, also `annotations` for the layer's
    descriptor. `codec` is the action's, `deflated` a folder of `ahead`.
    """
    with store.new_blob() as incoming:
        written = write(entries, incoming, ahead.reader(deflated) if deflated else None, codec=codec)
    with store.new_source() as incoming:
        listing = written.listing.encode("utf-8", "surrogateescape")
        incoming.write(listing)
        digest = Digest.of(listing)
        incoming.commit(digest)
    found: dict[str, Any] = {
        "name": name,
        "digest": written.digest,
        "diff_id": written.diff_id,
        "size": written.size,
        "raw": written.raw,
        "media_type": written.media_type,
        "listing": digest,
    }
    return {**found, "annotations": dict(written.annotations)} if written.annotations else found


def write_parts(
    workshop: Workshop, parts: Sequence[tuple[str, Sequence[Entry]]], codec: Codec, deflated: Path | None = None
) -> dict[str, Any]:
    """Write parts in parallel, the largest first, and return `{"layers": […]}` in the order given.

    Args:
        codec: how the action's document says that its layers are compressed.
        deflated: a folder of `ahead`, where content of these parts may lie deflated already.
    """

    def weight(part: tuple[str, Sequence[Entry]]) -> int:
        return -sum(entry.content.size if entry.content else 0 for entry in part[1])

    running: dict[str, Future[Any]] = {}
    for name, entries in sorted(parts, key=weight):
        running[name] = workshop.heavy(write_part, workshop.store, name, entries, codec, deflated)
    return {"layers": [running[name].result() for name, _ in parts]}
