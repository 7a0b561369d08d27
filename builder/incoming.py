"""A file on its way into the store: temporary file, digest, fsync, rename."""

from __future__ import annotations

import errno
import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO

from builder.digest import Digest
from builder.errors import StackbuildError
from builder.naming import is_named


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say in words that the store cannot be written: a full disk, a store of somebody else."""
    try:
        yield
    except OSError as error:
        raise _unwritable(path, error) from None


def _unwritable(path: Path, error: OSError) -> StackbuildError:
    full = error.errno in {errno.ENOSPC, errno.EDQUOT}
    return StackbuildError(
        "the disk of the store is full" if full else "cannot write to the store",
        where=str(path),
        got=f"{error.strerror}; what was finished is kept",
        next_step=("free some room" if full else "make it writable")
        + ", or set STACKBUILD_STORE to another folder; then run the same command again",
    )


class Incoming:
    """A file on its way into the store; without `commit` it vanishes. Its lock tells `sweep` that it is written."""

    def __init__(self, final_folder: Path, scratch: Path) -> None:
        self._folder = final_folder
        with writing(scratch):
            while True:
                handle, name = tempfile.mkstemp(dir=scratch)
                fcntl.flock(handle, fcntl.LOCK_EX)
                if is_named(handle, Path(name)):
                    break
                os.close(handle)  # Swept in the moment before it was locked.
        self.path = Path(name)
        self._file: IO[bytes] = os.fdopen(handle, "wb")

    def __enter__(self) -> Incoming:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):  # What could not be written is thrown away.
            self._file.close()
        self.path.unlink(missing_ok=True)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        try:  # Not `writing`, which takes longer than writing a few bytes does.
            self._file.write(data)
        except OSError as error:
            raise _unwritable(self._folder, error) from None

    def truncate(self) -> None:
        """Forget what was written so far."""
        with writing(self._folder):
            self._file.seek(0)
            self._file.truncate()

    def commit(self, digest: Digest) -> Path:
        """Give the file its name. The caller has taken `digest` of exactly the bytes written."""
        return self.publish(digest.hex)

    def publish(self, name: str) -> Path:
        """Let the file appear under a name, whole and at once."""
        final = self._folder / name
        with writing(self._folder):
            self._file.flush()
            os.fchmod(self._file.fileno(), 0o644)
            os.fsync(self._file.fileno())
            os.rename(self.path, final)
        return final


def put(final: Path, scratch: Path, data: bytes) -> None:
    """Write a whole file under its final name.

    Raises:
        StackbuildError: it cannot be written.
    """
    with writing(final):
        final.parent.mkdir(parents=True, exist_ok=True)
        scratch.mkdir(exist_ok=True)
    with Incoming(final.parent, scratch) as incoming:
        incoming.write(data)
        incoming.publish(final.name)
