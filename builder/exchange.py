"""How machines that build together hand files to each other: through the repository of the remote cache.

A build passes over what a cache lacks, and builds it. Here somebody waits for exactly these files and entries, so what
cannot be had or left is an error.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from builder.action import Action, Result
from builder.cache import Cache
from builder.digest import Digest
from builder.plan import files_of
from builder.store import Store
from builder.transports.upload import Upload

Sizes = Mapping[Digest, int]
"""Bytes of each file."""


def path_of(store: Store, digest: Digest, blob: bool) -> Path:
    """Where a file of a result lies in a store, or would lie."""
    return store.blob(digest) if blob else store.source(digest)


def take(cache: Cache, files: Iterable[tuple[Digest, bool, int]]) -> None:
    """Have files of results in the store: digest, whether it is a blob, size.

    Raises:
        Unreachable: the repository does not have one, or nobody answers.
        HostileInput: one is not what its digest says.
    """
    store = cache.store

    def one(item: tuple[Digest, bool, int]) -> None:
        digest, blob, size = item
        with store.locked(f"source-{digest.hex}"):  # Several steps of a worker read the same layers.
            if path_of(store, digest, blob).exists():
                return
            with store.new_blob() if blob else store.new_source() as incoming:
                cache.client.download([cache.url(digest)], digest=digest, size=size, into=incoming)

    cache.client.each(one, [item for item in files if not path_of(store, item[0], item[1]).exists()])


def lend(cache: Cache, files: Iterable[tuple[Digest, Path]]) -> None:
    """Have files of this machine in the repository.

    Raises:
        HostileInput: one has changed.
        Unreachable, StackbuildError: as `Upload.blob`.
    """
    upload = Upload(cache.registry)

    def one(item: tuple[Digest, Path]) -> None:
        digest, path = item
        if not upload.has(digest):
            upload.blob(digest, path, path.stat().st_size)

    cache.client.each(one, dict(files).items())


def lend_sources(cache: Cache, action: Action) -> None:
    """Have the pinned files that an action reads in the repository; checked when they came. Errors as `lend`."""
    lend(cache, _read(cache.store, action).items())


def leave(cache: Cache, action: Action, result: Result, known: Sizes) -> dict[Digest, int]:
    """Leave what an action came to, with its files; returns their sizes.

    Those that it read must be there already (`lend_sources`).

    Args:
        known: files of other results, which are in the repository already and need not be here.

    Raises:
        HostileInput: a file in the store has changed.
        Unreachable, StackbuildError: as `Upload.blob`.
    """
    store = cache.store
    made = dict.fromkeys(files_of(result))
    here = {digest: path_of(store, digest, blob) for digest, blob in made if digest not in known}
    lend(cache, ((digest, store.checked(path)) for digest, path in here.items()))
    sizes = {digest: known[digest] if digest in known else here[digest].stat().st_size for digest, _ in made}
    files = {**sizes, **{digest: path.stat().st_size for digest, path in _read(store, action).items()}}
    cache.write(Upload(cache.registry), action, result, files)
    return sizes


def _read(store: Store, action: Action) -> dict[Digest, Path]:
    return {pin.digest: store.source(pin.digest) for pin in action.pins if store.source(pin.digest).exists()}
