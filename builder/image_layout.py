"""The OCI image layout of a store, `images/`: which names its images have (OCI image-spec v1.1, image-layout.md)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from builder import flocks, image_index
from builder.digest import Json
from builder.errors import StackbuildError
from builder.incoming import put, writing
from builder.settling import settle


class ImageLayout:
    """The only writer of `index.json`, one process at a time.

    Args:
        path: the store's.
    """

    def __init__(self, path: Path) -> None:
        self._folder = path / "images"
        self._index_file = path / "images/index.json"
        self._scratch = path / "tmp"
        self._lock = path / "locks/index"

    def create(self) -> None:
        """Write what is missing; only for whoever has it `guarded`."""
        put(self._folder / "oci-layout", self._scratch, image_index.LAYOUT)
        if not self._index_file.exists():
            put(self._index_file, self._scratch, image_index.EMPTY)

    def guarded(self) -> AbstractContextManager[None]:
        """Hold the lock of the index, which is read, changed and written again, by several machines too."""
        return flocks.guarded(self._lock)

    def tag(self, name: str, descriptor: Mapping[str, Json]) -> None:
        """Let `name` mean this manifest or index."""
        with self.guarded():
            self._write(image_index.tagged(self._read(), name, descriptor))

    def untag(self, digests: Collection[str]) -> None:
        """Let nothing name these manifests and indexes any more."""
        with self.guarded():
            self._write(image_index.without(self._read(), digests))

    def tags(self) -> dict[str, str]:
        """Every tag of the layout, with the digest of what it names."""
        return image_index.tags(self._read())

    def indexed(self) -> tuple[str, ...]:
        """The digests of all that the layout's index names, tagged or not, by whatever tool.

        Raises:
            StackbuildError: there is no index, so nobody can tell.
        """
        return tuple(map(image_index.digest, self._read(missing=False)["manifests"]))

    def _write(self, data: bytes) -> None:
        """Write the index, if that is news; what it names is on the disk before, as nothing else would miss it."""
        final = self._index_file
        if not final.exists() or final.read_bytes() != data:
            with writing(final):
                settle(self._folder / "blobs/sha256")
            put(final, self._scratch, data)
            settle(final.parent)

    def _read(self, *, missing: bool = True) -> dict[str, Any]:
        """The index; if it is `missing`, which is what the error below asks for, one without names."""
        path = self._index_file
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            data = image_index.EMPTY if missing else b""
        if (index := image_index.parsed(data)) is not None:
            return index
        raise StackbuildError(
            f"the store's image index is damaged: {path}",
            next_step=f"rm {path}, then build again: what is built is only tagged anew",
        )
