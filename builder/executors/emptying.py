"""A worker's store is emptied when it has grown beyond a limit: the cache has all of it.

Between two steps nobody needs anything of it. So who is about to begin one waits, once the limit is reached, until
nobody performs any, and one of them empties the store. What is left is neither results nor files: names of locks, logs.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Condition

from builder.errors import StackbuildError
from builder.removal import remove
from builder.store import Store

_ROOMS = ("actions", "sources/sha256", "images/blobs/sha256", "failed", "roots", "metadata", "repodata")
"""In this order, as sweeping.py has it: what names a thing goes before the thing."""
_EVERY = 20.0
"""Seconds between two looks at a store of many files."""


class Room:
    """Who performs steps in a store is inside; used by many threads.

    Args:
        limit: bytes that files of the store may take; None for as many as there are.
    """

    def __init__(self, store: Store, limit: int | None) -> None:
        self._store = store
        self._limit = limit
        self._changed = Condition()
        self._inside = 0
        self._full = limit is not None and size(store) > limit
        self._looked = time.monotonic()

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Perform a step in the store; nothing of it goes meanwhile."""
        with self._changed:
            while self._full and self._inside:
                self._changed.wait()
            if self._full:
                with suppress(StackbuildError):  # Somebody else works in it: later, then.
                    empty(self._store)
                self._full = False
            self._inside += 1
        try:
            with self._store.leased():
                yield
        finally:
            grown = self._grown()
            with self._changed:
                self._inside -= 1
                self._full = self._full or grown
                self._changed.notify_all()

    def _grown(self) -> bool:
        if self._limit is None:
            return False
        with self._changed:
            if self._full or time.monotonic() - self._looked < _EVERY:
                return False
            self._looked = time.monotonic()
        return size(self._store) > self._limit


def size(store: Store) -> int:
    """Bytes of disk that a store takes; what goes meanwhile counts as nothing."""
    total, todo, seen = 0, [os.fspath(store.path)], set[tuple[int, int]]()
    while todo:
        with suppress(FileNotFoundError), os.scandir(todo.pop()) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    info = entry.stat(follow_symlinks=False)
                    if entry.is_dir(follow_symlinks=False):
                        todo.append(entry.path)
                    elif (name := (info.st_dev, info.st_ino)) not in seen:
                        seen.update([name] if info.st_nlink > 1 else [])
                        total += info.st_blocks * 512
    return total


def empty(store: Store) -> None:
    """Remove all results and files from a store.

    Raises:
        StackbuildError: it is in use.
    """
    with store.workspace() as trash:
        with store.alone():
            for number, name in enumerate(_ROOMS):
                with suppress(FileNotFoundError):
                    os.rename(store.path / name, trash / str(number))
                (store.path / name).mkdir(parents=True, exist_ok=True)
        for path in _folders(trash):
            remove(path)


def _folders(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())
