"""A built image with something else in it, or said of it, to see whether a contract notices."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from builder.built import Image
from builder.compression import codec
from builder.digest import Digest, canonical
from builder.parts import write_part
from builder.tree import Bytes, Entry, with_parents


def program(path: str, text: str | bytes) -> Entry:
    """A script of root's."""
    return Entry(path, "file", 0o755, content=Bytes(text.encode() if isinstance(text, str) else text))


def altered(image: Image, entries: Sequence[Entry] = (), config: Mapping[str, Any] | None = None) -> Image:
    """The image with one more layer, and with some keys of its config replaced; None leaves a key out."""
    store, layers = image.store, list(image.layers)
    if entries:
        layers.append(write_part(store, "altered", _standing(image, entries), codec("gzip")))
    document = json.loads(store.blob(Digest(image.result["config"])).read_bytes())
    said = {**document["config"], **(config or {})}
    document["config"] = {name: value for name, value in said.items() if value is not None}
    document["rootfs"]["diff_ids"] = [layer["diff_id"] for layer in layers]
    return Image(store, {**image.result, "config": store.put_blob(canonical(document)), "layers": layers})


def _standing(image: Image, entries: Sequence[Entry]) -> list[Entry]:
    """Folders on the way as they stand in the image."""
    known: dict[str, Entry] = {}
    for entry in with_parents(entries):
        for folder in image.folders():
            if entry.kind == "dir" and (place := folder / entry.path).is_dir() and not place.is_symlink():
                known[entry.path] = _folder(entry.path, place)
    return with_parents(entries, known)


def _folder(path: str, place: Path) -> Entry:
    found = place.stat()
    return Entry(path, "dir", found.st_mode & 0o7777, found.st_uid, found.st_gid)
