"""Files between a store and the repository of the remote cache, each checked by its digest where it arrives.

A build passes over what a cache lacks, and builds it. Who waits for exactly these files uses `take` and `lend`, for
whom what cannot be had or left is an error: machines that build together hand each other files so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from builder.action import Action, Result
from builder.digest import Digest
from builder.errors import StackbuildError
from builder.plan import files_of, path_of
from builder.store import Store
from builder.transports.registry import Registry
from builder.transports.upload import Upload

Sizes = Mapping[Digest, int]
"""Bytes of each file."""


class File(NamedTuple):
    """A file of a result: whether it is a blob of an image or lies among the sources, and its bytes."""

    digest: Digest
    blob: bool
    size: int


def missing(store: Store, files: Iterable[File]) -> list[File]:
    """Those of the files that the store does not have, each once, in their order."""
    return [one for one in dict.fromkeys(files) if not path_of(store, one.digest, one.blob).exists()]


def fetch(registry: Registry, store: Store, file: File) -> None:
    """Have one file in the store.

    Raises:
        Unreachable: the repository does not have it, or nobody answers.
        HostileInput: it is not what its digest says.
    """
    with store.locked(f"source-{file.digest.hex}"):  # Several steps of a worker read the same layers.
        if path_of(store, file.digest, file.blob).exists():
            return
        url = registry.url(file.digest)
        with store.new_blob() if file.blob else store.new_source() as incoming:
            registry.client.download([url], digest=file.digest, size=file.size, into=incoming)


def lent(upload: Upload, digest: Digest, path: Path) -> int:
    """Have a file of this machine in the repository; the bytes that had to be sent, and errors as `Upload.blob`."""
    if upload.has(digest):
        return 0
    size = path.stat().st_size
    upload.blob(digest, path, size)
    return size


def given(upload: Upload, store: Store, digest: Digest, blob: bool) -> int:
    """Have a file of the store in the repository; the bytes that had to be sent.

    The registry takes the digest of what arrives: only what it refused is read once more here.

    Raises:
        HostileInput: the file has changed since it was written, and is gone from the store now.
        Unreachable, StackbuildError: as `Upload.blob`, or there is no such file.
    """
    path = path_of(store, digest, blob)
    try:
        return lent(upload, digest, path)
    except (StackbuildError, OSError):
        store.checked(path)
        raise


def take(registry: Registry, store: Store, files: Iterable[File]) -> None:
    """Have files in the store. Raises: Problems: of those that could not be had, errors as `fetch`."""
    registry.client.each(lambda one: fetch(registry, store, one), missing(store, files))


def lend(registry: Registry, files: Mapping[Digest, Path]) -> None:
    """Have files of this machine in the repository. Raises: Problems: of those that could not, errors as `lent`."""
    upload = Upload(registry)
    registry.client.each(lambda one: lent(upload, *one), files.items())


def read(store: Store, action: Action) -> dict[Digest, Path]:
    """The pinned files that an action reads, as far as they are here; checked when they came."""
    return {pin.digest: store.source(pin.digest) for pin in action.pins if store.source(pin.digest).exists()}


def left(registry: Registry, store: Store, result: Result, known: Sizes) -> dict[Digest, int]:
    """Have the files of a result in the repository; the sizes of all of them.

    Args:
        known: files of other results, which are in the repository already and need not be here.

    Raises:
        Problems: of those that could not be left, errors as `given`.
    """
    made = dict(files_of(result))
    upload = Upload(registry)
    new = {one: blob for one, blob in made.items() if one not in known}
    registry.client.each(lambda one: given(upload, store, *one), new.items())
    return {one: known[one] if one in known else path_of(store, one, new[one]).stat().st_size for one in made}
