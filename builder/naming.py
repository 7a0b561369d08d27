"""Whether a file that is open, and perhaps locked, is still what its name means.

Whoever waits for a lock may get that of a file which was removed meanwhile, and has to look. Its number of links does
not tell: NFS gives a file that is removed while somebody has it open another name, `.nfs…`, until he closes it.
"""

from __future__ import annotations

import os
from pathlib import Path


def is_named(handle: int, path: Path) -> bool:
    """Whether a name means the open file."""
    try:
        return os.path.samestat(os.fstat(handle), os.lstat(path))
    except OSError:  # Gone; or ESTALE, as another machine has removed it.
        return False


def is_left(path: Path) -> bool:
    """Whether NFS has kept a removed file under such a name: it goes by itself, and cannot be removed before."""
    return path.name.startswith(".nfs")
