"""The content-addressed store on disk.

    version                     the format of what follows
    images/                     an OCI layout: oci-layout, index.json, blobs/sha256/…  (skopeo, umoci read it)
    sources/sha256/<hex>        fetched files, under the digest that their pin names
    actions/<hex>.json          document and result of a finished action, under its key
    keys/<hex>                  the plan keys of an image's targets: a cache
    took/<hex>                  how long an action took, under its plan key
    roots/<hex>/                unpacked layers and roots: a cache, made again whenever it is missing
    released/<hex>.json         what a pushed image holds, under its manifest's digest
    advisories/<hex>            databases of advisories by package: a cache
    logs/<hex>.txt              output of steps in the sandbox
    locks/                      files whose locks several machines take
    tmp/                        whatever has no name yet

Every write is: temporary file, digest, fsync, atomic rename. Nothing under a final name is ever half-written, so
a killed build leaves rubbish in `tmp/` only, which the next one sweeps.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from builder import flocks, lease, scratch, sealing
from builder.digest import Digest, Json
from builder.errors import HostileInput, StackbuildError
from builder.image_layout import ImageLayout
from builder.incoming import Incoming, put, writing
from builder.settling import settle

FORMAT = "1"


def default_path(environ: Mapping[str, str]) -> Path:
    """`$STACKBUILD_STORE`, else `stackbuild` in the user's cache folder (XDG base directories)."""
    if path := environ.get("STACKBUILD_STORE"):
        return Path(path).absolute()
    cache = environ.get("XDG_CACHE_HOME") or str(Path(environ.get("HOME", "/root")) / ".cache")
    return Path(cache) / "stackbuild"


class Store:
    """One store; safe with many processes, as every name appears at once and whole.

    What is in use is not collected as garbage: whoever works with a store holds a lease of it (`hold`, `leased`).

    Attributes:
        images: which of its images have names.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.images = ImageLayout(path)
        self._lease: IO[bytes] | None = None

    def __reduce__(self) -> tuple[type[Store], tuple[Path]]:
        return Store, (self.path,)  # A worker's process is covered by the lease of the one that it works for.

    @classmethod
    def open(cls, path: Path) -> Store:
        """Open the store, creating what is missing.

        Raises:
            StackbuildError: the folder cannot be made, or holds another format.
        """
        store = cls(path)
        mark = path / "version"
        try:
            found = mark.read_bytes().decode("ascii", "replace").strip()
        except FileNotFoundError:
            try:
                store._create()
            except OSError as error:
                raise StackbuildError(
                    f"cannot create the store {path}", got=str(error.strerror), next_step="set STACKBUILD_STORE"
                ) from None
            found = FORMAT
        except OSError as error:
            raise StackbuildError(
                f"cannot read the store {path}", got=str(error.strerror), next_step="set STACKBUILD_STORE"
            ) from None
        if found != FORMAT:
            raise StackbuildError(
                f"the store {path} has another format",
                expected=FORMAT,
                got=found,
                next_step="use the stackbuild that wrote it, or set STACKBUILD_STORE to another folder",
            )
        return store

    def _create(self) -> None:
        for name in ("images/blobs/sha256", "sources/sha256", "actions", "roots", "logs", "tmp"):
            (self.path / name).mkdir(parents=True, exist_ok=True)
        with self.images.guarded():  # Another process may have made the store just now, and tagged in it.
            self.images.create()
            if not (self.path / "version").exists():  # Leases are locks of that very file.
                settle(self.path / "images")
                self._write("version", (FORMAT + "\n").encode())

    # Leases ------------------------------------------------------------------------------------------------

    def hold(self) -> None:
        """Keep garbage from being collected for as long as this object lives, or until `release`."""
        if self._lease is None:
            self._lease = lease.shared(self.path / "version", self._door)

    def release(self) -> None:
        """Give up what `hold` took."""
        if self._lease is not None:
            self._lease.close()
            self._lease = None

    @contextmanager
    def leased(self) -> Iterator[None]:
        """Keep garbage from being collected meanwhile."""
        with lease.shared(self.path / "version", self._door if self._lease is None else None):
            yield

    @contextmanager
    def alone(self, wait: float = 0) -> Iterator[None]:
        """Let nobody else use the store meanwhile; `wait` seconds, at most, until nobody does.

        Raises:
            InUse: it is.
        """
        with writing(self.path):
            (self.path / "version").open("r+b").close()  # Nobody collects in a store that he may not write.
        with lease.alone(self.path / "version", lambda: self.locked("door"), wait):
            yield

    @property
    def _door(self) -> Path:
        return self.path / "tmp/door.lock"

    # Sources and blobs -------------------------------------------------------------------------------------

    def source(self, digest: Digest) -> Path:
        """Where a fetched file lies, or would lie."""
        return self.path / "sources/sha256" / digest.hex

    def blob(self, digest: Digest) -> Path:
        """Where a blob of an image lies, or would lie."""
        return self.path / "images/blobs/sha256" / digest.hex

    def new_source(self) -> Incoming:
        return Incoming(self.path / "sources/sha256", self.scratch)

    def new_blob(self) -> Incoming:
        return Incoming(self.path / "images/blobs/sha256", self.scratch)

    def put_blob(self, data: bytes) -> Digest:
        """Write a small blob (config, manifest) and return its digest."""
        digest = Digest.of(data)
        path = self.blob(digest)
        if not path.exists() or path.read_bytes() != data:
            with self.new_blob() as incoming:
                incoming.write(data)
                incoming.commit(digest)
        return digest

    def checked(self, path: Path) -> Path:
        """`path`, a file named by its digest, after its bytes were hashed again.

        Raises:
            HostileInput: the bytes changed since they were written; the file is gone from the store then, so that
                the same command run again fetches or builds it anew.
            StackbuildError: it is not there.
        """
        try:
            with path.open("rb") as stream:
                got = hashlib.file_digest(stream, "sha256").hexdigest()
        except FileNotFoundError:
            raise StackbuildError(
                f"a file is gone from the store: {path}", next_step="run the same command again"
            ) from None
        if got != path.name:
            with writing(path):
                path.unlink(missing_ok=True)
            raise HostileInput(
                f"a file in the store has changed: {path}",
                expected=f"sha256:{path.name}",
                got=f"sha256:{got}; it was removed",
                next_step="run the same command again; if this recurs, check the disk",
            )
        return path

    def check_sources(self, digests: Iterable[Digest], jobs: int) -> None:
        """Hash fetched files again, `jobs` at a time.

        Raises:
            HostileInput, StackbuildError: as `checked`, of the first such file.
        """
        # Slow to import, and a build with nothing to do has no use for it.
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(jobs) as threads:
            for _ in threads.map(self.checked, [self.source(digest) for digest in digests]):
                pass

    # Actions -----------------------------------------------------------------------------------------------

    def action(self, key: Digest) -> dict[str, Any] | None:
        """`{"document": …, "result": …}` of a finished action, or None. A damaged file counts as none."""
        try:
            return sealing.unsealed((self.path / "actions" / f"{key.hex}.json").read_bytes())
        except FileNotFoundError:
            return None

    def has_action(self, key: Digest) -> bool:
        return (self.path / "actions" / f"{key.hex}.json").exists()

    def used(self, key: Digest) -> None:
        """Note that somebody has a use for an action's result; where nothing can be noted, nobody evicts anything."""
        with suppress(OSError):
            os.utime(self.path / "actions" / f"{key.hex}.json")

    def put_action(self, key: Digest, document: Json, result: Json) -> None:
        self._write(f"actions/{key.hex}.json", sealing.sealed(document, result))

    # Scratch -----------------------------------------------------------------------------------------------

    @property
    def scratch(self) -> Path:
        return self.path / "tmp"

    @contextmanager
    def workspace(self, room: int | None = None) -> Iterator[Path]:
        """A folder of one's own, removed at the end: below `tmp/`, or where `scratch.place` says.

        Args:
            room: how many bytes of a root it will hold, about; None for anything else, which stays in the store.

        Raises:
            StackbuildError: it cannot be made.
        """
        parent = self.scratch if room is None else scratch.place(room) or self.scratch
        with ExitStack() as stack:
            with writing(parent):
                folder = stack.enter_context(scratch.folder(parent))
            yield folder

    def sweep(self) -> int:
        """Remove what killed processes left in `tmp/` and in the other places of `scratch`; returns how much went."""
        folders = sum(scratch.sweep(parent) for parent in (self.scratch, *scratch.places()))
        return folders + flocks.sweep(self.scratch)

    def locked(self, name: str) -> AbstractContextManager[None]:
        """Hold the store's lock of that name, against threads and processes."""
        return flocks.locked(self.scratch / f"{name}.lock")

    def guarded(self, name: str) -> AbstractContextManager[None]:
        """Hold the lock of a file that is read, changed and written again, by several machines too."""
        return flocks.guarded(self.path / "locks" / name)

    def write(self, name: str, data: bytes) -> Path:
        """Write a file of the store (a log, a cached table) under its relative name."""
        self._write(name, data)
        return self.path / name

    def _write(self, name: str, data: bytes) -> None:
        put(self.path / name, self.scratch, data)
