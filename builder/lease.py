"""Who uses a store, and who collects its garbage: a lock of the whole store, shared by all but the collector.

The lock is flock(2) of the store's file `version`, which is written once and never replaced. Reading it is all that a
shared lock needs, so a store on a disk that cannot be written has one too. It ends with the process that holds it,
however that ends.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from builder.errors import InUse

_EVERY = 0.1
"""Seconds between two looks whether the store is free."""


def shared(mark: Path) -> IO[bytes]:
    """Use a store until the file that comes back is closed; waits for as long as somebody collects its garbage."""
    handle = mark.open("rb")
    try:
        fcntl.flock(handle, fcntl.LOCK_SH)
    except BaseException:
        handle.close()
        raise
    return handle


@contextmanager
def alone(mark: Path, wait: float) -> Iterator[None]:
    """Have a store for oneself; whoever begins to use it meanwhile waits.

    Those who use it are never asked to wait for one who only waits himself, so this one may wait in vain.

    Args:
        wait: seconds, at most.

    Raises:
        InUse: it is.
    """
    until = time.monotonic() + wait
    with mark.open("r+b") as handle:  # NFS locks for writing only what is open for it (flock(2)).
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= until:
                    raise InUse(
                        f"the store is in use: {mark.parent}",
                        got=_holders(handle),
                        expected="no other stackbuild that works with it",
                        next_step="wait until it ends, or: stackbuild gc --wait SECONDS",
                    ) from None
            time.sleep(_EVERY)
        yield


def _holders(handle: IO[bytes]) -> str:
    """Who holds the lock, as far as the kernel tells (proc_locks(5))."""
    inode = str(os.fstat(handle.fileno()).st_ino)
    found = set()
    with suppress(OSError):
        for line in Path("/proc/locks").read_text().splitlines():
            row = line.split()
            if row[1] == "FLOCK" and row[5].rpartition(":")[2] == inode and int(row[4]) > 0:
                found.add(int(row[4]))
    numbers = ", ".join(map(str, sorted(found)))
    return f"process {numbers}" if len(found) == 1 else f"processes {numbers}" if found else "another process"
