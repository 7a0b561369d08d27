"""Bring pinned files into the store: in parallel, each checked, each once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock as Mutex
from typing import TYPE_CHECKING

from builder.digest import Digest
from builder.errors import HostileInput, Problems, StackbuildError, Unreachable
from builder.kinds import kinds, submodule
from builder.lock import Pin
from builder.manifest.model import Manifest
from builder.offline import offline
from builder.store import Store
from builder.user_config import environment

if TYPE_CHECKING:
    from builder.net import Client

_THREADS = 16
Progress = Callable[[Pin, int], None]
"""Called with a pin and the bytes of it that just arrived."""


class Fetcher:
    """Fetches pins of one manifest; used by many threads at once.

    Which URLs a pin has is its kind's business (`finder` in its `places.py`): a path below an archive, or a file name
    in an index.

    Args:
        client: one of its own if None, made when something is missing: whoever has everything needs no HTTP library.
        nearby: where a file of that digest may be, beside the places that its kind knows; asked first.
    """

    def __init__(
        self,
        manifest: Manifest,
        store: Store,
        client: Client | None = None,
        progress: Progress | None = None,
        *,
        nearby: Callable[[Digest], str] | None = None,
    ) -> None:
        self._manifest = manifest
        self._store = store
        self._client = client
        self._progress = progress
        self._nearby = nearby
        self._mutex = Mutex()
        self._threads: ThreadPoolExecutor | None = None
        self._finders: dict[str, Callable[[Pin], Sequence[str]]] = {}

    def missing(self, pins: Iterable[Pin]) -> list[Pin]:
        """Those of the pins whose file is not in the store, each digest once, by size, largest first."""
        found = {pin.digest: pin for pin in pins if not self._store.source(pin.digest).exists()}
        return sorted(found.values(), key=lambda pin: (-pin.size, pin.name))

    def __call__(self, pins: Iterable[Pin]) -> None:
        """Fetch what is missing.

        Raises:
            Problems: files that no source has, or that are not what their pins say; the others are kept.
        """
        wanted = self.missing(pins)
        if not wanted:
            return
        with self._mutex:
            self._threads = self._threads or ThreadPoolExecutor(_THREADS)
        problems = [error for error in self._threads.map(self._one, wanted) if error is not None]
        if problems:
            raise Problems(problems)

    def stop(self) -> None:
        """Begin no further download; whoever waits for one gets an error."""
        with self._mutex:
            if self._threads is not None:
                self._threads.shutdown(wait=False, cancel_futures=True)

    def _one(self, pin: Pin) -> StackbuildError | None:
        try:
            with self._store.locked(f"source-{pin.digest.hex}"):  # Who wants it too, in any process, waits and has it.
                return self._brought(pin)
        except StackbuildError as error:
            return error

    def _brought(self, pin: Pin) -> StackbuildError | None:
        if self._store.source(pin.digest).exists():
            return None
        if self._nearby is not None and self._tried(pin, self._nearby(pin.digest)):
            return None
        try:
            self._download(pin, self._places(pin))
        except Unreachable as error:
            return _unreachable(pin, error)
        except HostileInput as error:
            return HostileInput(
                error.what,
                where=f"{pin.kind} {pin.name} {pin.version}",
                expected=error.expected,
                got=error.got,
                next_step="find out who changed the file; if it is right, move its pin: "
                f"stackbuild lock --upgrade-package {pin.name}",
            )
        except StackbuildError as error:
            return error
        except OSError as error:
            return StackbuildError(f"cannot write {pin.filename} to the store", got=str(error.strerror))
        return None

    def _tried(self, pin: Pin, url: str) -> bool:
        """Whether the file could be had there; if not, nobody needs to know."""
        try:
            self._download(pin, [url])
        except StackbuildError:
            return False
        return True

    def _download(self, pin: Pin, urls: Sequence[str]) -> None:
        told = self._told(pin)
        with self._store.new_source() as incoming:
            self._http().download(urls, digest=pin.digest, size=pin.size, into=incoming, progress=told)

    def _told(self, pin: Pin) -> Callable[[int], None] | None:
        progress = self._progress
        return None if progress is None else lambda count: progress(pin, count)

    def _http(self) -> Client:
        if self._client is None:
            from builder.net import Client

            self._client = Client()
        return self._client

    def _places(self, pin: Pin) -> Sequence[str]:
        """Where the file may be; offline, what this machine does not say is no error: nobody would be asked anyway."""
        try:
            return self.urls(pin)
        except StackbuildError:
            if offline(os.environ):
                return ()
            raise

    def urls(self, pin: Pin) -> Sequence[str]:
        """Where a pin's file may be, best first."""
        with self._mutex:
            if pin.kind not in self._finders:
                places = submodule(pin.kind, "places") or kinds()[pin.kind]
                self._finders[pin.kind] = places.finder(self._manifest, self._http(), environment(os.environ))
        return self._finders[pin.kind](pin)


def _unreachable(pin: Pin, error: Unreachable) -> Unreachable:
    if offline(os.environ):
        return Unreachable(
            f"offline, and not in the store: {pin.kind} {pin.name} {pin.version}",
            where=pin.filename,
            next_step="build it, or bundle it (stackbuild bundle), where there is a network",
        )
    return Unreachable(
        f"no source has {pin.name}=={pin.version} any more, or none answers: {pin.filename}",
        got=error.what,
        next_step="try again later, or move only such pins: stackbuild lock --refresh-missing",
    )


def foresee(store: Store, pins: Sequence[Pin], laid: int) -> None:
    """Refuse to start what the disk cannot hold.

    Args:
        pins: files that will be fetched.
        laid: bytes that layers, roots and scratch files will take, estimated from the locks.

    Raises:
        StackbuildError: there is too little room.
    """
    need = sum(pin.size for pin in pins) + laid
    free = shutil.disk_usage(store.path).free
    if need > free:
        raise StackbuildError(
            f"not enough room on disk: needs {gigabytes(need)}, {gigabytes(free)} free",
            where=str(store.path),
            next_step="free some, or set STACKBUILD_STORE to a folder on a larger disk",
        )


def gigabytes(size: int) -> str:
    """`3.1 GB`, or `12 MB` where it is less than one."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
