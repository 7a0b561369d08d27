"""What a power cut may neither take nor reorder: folders and whole trees are brought to the disk before what relies on
them gets its name.

rename(2) puts a name in its folder at once, for processes. On the disk, the names of one folder may come before those
of another, and before the content of files that nobody synced (fsync(2)).
"""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

_UNKNOWN = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})
"""What file systems say, by FUSE for instance, that sync no folders; they order names as they like."""


def settle(folder: Path) -> None:
    """Let the names in a folder, and those that are gone from it, be on the disk.

    Raises:
        OSError: it cannot be.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _UNKNOWN:
            raise
    finally:
        os.close(handle)


def settle_tree(folder: Path) -> None:
    """Let everything below a folder be on the disk.

    The whole file system is synced in one go (syncfs(2)): a tree has thousands of files, and a sync of each would take
    longer than that.

    Raises:
        OSError: it cannot be; a disk that turned out to be full, for one.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if libc.syncfs(handle):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(folder))
    finally:
        os.close(handle)
