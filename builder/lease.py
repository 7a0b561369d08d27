"""Who uses a store, and who collects its garbage: a lock of the whole store, shared by all but the collector.

The lock is flock(2) of the store's file `version`, which is written once and never replaced. Reading it is all that a
shared lock needs, so a store on a disk that cannot be written has one too. It ends with the process that holds it,
however that ends.

Where builds never stop, there is never a moment in which nobody uses the store. So whoever has waited for it alone for
half of his time closes the door, a second lock: those who begin to use the store wait there, those who use it already
are not asked to, and can end.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

from builder.errors import InUse, StackbuildError

_EVERY = 0.1
"""Seconds between two looks whether the store is free."""


def shared(mark: Path, door: Path | None) -> IO[bytes]:
    """Use a store until the file that comes back is closed; waits for as long as somebody collects its garbage.

    Args:
        door: the lock of whoever wants the store alone, if there is such a file; None for who uses the store already.

    Raises:
        StackbuildError: the file system has no locks.
    """
    if door is not None:
        with suppress(FileNotFoundError), door.open("rb") as closed:
            _lock(closed, fcntl.LOCK_SH, mark)  # Nobody holds it open: once it can be had, whoever closed it is done.
    handle = mark.open("rb")
    try:
        _lock(handle, fcntl.LOCK_SH, mark)
    except BaseException:
        handle.close()
        raise
    return handle


@contextmanager
def alone(mark: Path, close: Callable[[], AbstractContextManager[None]], wait: float) -> Iterator[None]:
    """Have a store for oneself; whoever begins to use it meanwhile waits.

    Args:
        close: closes the door.
        wait: seconds, at most; those who begin wait for no more than half of that.

    Raises:
        InUse: it is.
        StackbuildError: the file system has no locks.
    """
    begun = time.monotonic()
    with mark.open("r+b") as handle, ExitStack() as door:  # NFS locks for writing only what is open for it (flock(2)).
        closed = False
        while not _free(handle, mark):
            if time.monotonic() >= begun + wait:
                raise InUse(
                    f"the store is in use: {mark.parent}",
                    got=_holders(handle),
                    expected="no other stackbuild that works with it",
                    next_step="wait until it ends, or: stackbuild gc --wait SECONDS",
                )
            if not closed and time.monotonic() >= begun + wait / 2:
                with suppress(StackbuildError):  # On a full disk, one may still come to an end politely.
                    door.enter_context(close())
                closed = True
            time.sleep(_EVERY)
        door.close()
        yield


def _free(handle: IO[bytes], mark: Path) -> bool:
    try:
        _lock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB, mark)
    except BlockingIOError:
        return False
    return True


def _lock(handle: IO[bytes], how: int, mark: Path) -> None:
    try:
        fcntl.flock(handle, how)
    except BlockingIOError:
        raise
    except OSError as error:
        if error.errno not in {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}:
            raise
        raise StackbuildError(
            f"the file system of the store has no locks: {mark.parent}",
            expected="flock(2), as on local disks, and on NFS of version 4 or with its lock daemon",
            got=str(error.strerror),
            next_step="set STACKBUILD_STORE to another folder, or have its server lock files",
        ) from None


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
