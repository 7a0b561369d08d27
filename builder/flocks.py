"""Locks of names, against threads and processes: flock(2) of a file that has the name."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from builder.incoming import writing
from builder.naming import is_named


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock whose file goes with it, as there are many such names."""
    while True:
        with writing(path):
            handle = path.open("w")
        with handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if is_named(handle.fileno(), path):
                yield
                path.unlink(missing_ok=True)  # Whoever waits for it sees that, and makes another.
                return


@contextmanager
def guarded(path: Path) -> Iterator[None]:
    """Hold the lock of something that is read, changed and written again.

    Its file stays: on NFS, a machine may think for a while that one which another machine removed is there.
    """
    with writing(path):
        path.parent.mkdir(exist_ok=True)
        handle = path.open("w")
    with handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def sweep(folder: Path) -> int:
    """Remove the files of a folder that nobody has locked; returns how many went.

    Whoever locks a file looks afterwards whether it still has its name.
    """
    swept = 0
    for entry in sorted(folder.iterdir()):
        with suppress(OSError), entry.open("r+b") as handle:  # A folder cannot be opened.
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if is_named(handle.fileno(), entry):  # Else the name is another file's by now, which is in use.
                entry.unlink()
                swept += 1
    return swept
