"""Imported by every Python process below a command under test: the file system does less than a local one.

ODD=nolink      no hard links: EPERM, as on exFAT and many that are mounted by FUSE
ODD=nolock      no locks: ENOLCK, as on NFS without a lock daemon
ODD=nfs         what NFS does otherwise than POSIX (flock(2), NFS notes; https://nfs.sourceforge.net, D2): locks for
                writing need a file that is open for writing, those for reading one for reading, folders have none;
                a name that is removed or replaced while this process has the file open becomes `.nfs…` instead
ODD_FOLDER      only below it
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from typing import Any

_MODE, _FOLDER = os.environ.get("ODD", ""), os.environ.get("ODD_FOLDER", "")
_count = iter(range(1, 1 << 30))


def _within(path: Any, folder: int | None = None) -> str:
    """The path, if it is below the folder; else ""."""
    text = os.fsdecode(path)
    if folder is not None:
        text = os.path.join(os.readlink(f"/proc/self/fd/{folder}"), text)
    text = os.path.abspath(text)
    return text if text.startswith(_FOLDER + "/") else ""


def _refused(number: int, path: str) -> OSError:
    return OSError(number, os.strerror(number), path)


def _keep(path: str) -> None:
    """Give a file that this process has open another name; refuse to remove one that has such a name already."""
    try:
        info = os.lstat(path)
    except OSError:
        return
    for name in os.listdir("/proc/self/fd"):
        try:
            if os.path.samestat(os.stat(f"/proc/self/fd/{name}"), info):
                break
        except OSError:
            continue
    else:
        return
    folder, base = os.path.split(path)
    if base.startswith(".nfs"):
        raise _refused(errno.EBUSY, path)
    _link(path, f"{folder}/.nfs{os.getpid():08x}{next(_count):08x}")


def _odd_flock(file: Any, how: int) -> None:
    handle = file if isinstance(file, int) else file.fileno()
    path = os.readlink(f"/proc/self/fd/{handle}")
    if path.startswith(_FOLDER + "/"):
        if _MODE == "nolock":
            raise _refused(errno.ENOLCK, path)
        mode = fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE
        wrong = os.O_RDONLY if how & fcntl.LOCK_EX else os.O_WRONLY if how & fcntl.LOCK_SH else None
        if mode == wrong or os.path.isdir(path):
            raise _refused(errno.EBADF, path)
    _flock(handle, how)


def _odd_link(src: Any, dst: Any, *arguments: Any, **options: Any) -> None:
    if found := _within(dst):
        raise _refused(errno.EPERM, found)
    _link(src, dst, *arguments, **options)


def _removing(real: Callable[..., None]) -> Callable[..., None]:
    def odd(path: Any, *, dir_fd: int | None = None) -> None:
        if found := _within(path, dir_fd):
            _keep(found)
        real(path, dir_fd=dir_fd)

    return odd


def _renaming(real: Callable[..., None]) -> Callable[..., None]:
    def odd(src: Any, dst: Any, **options: Any) -> None:
        if found := _within(dst):
            _keep(found)
        real(src, dst, **options)

    return odd


_link, _flock = os.link, fcntl.flock
if _MODE == "nolink":
    os.link = _odd_link
elif _MODE in {"nfs", "nolock"}:
    fcntl.flock = _odd_flock
if _MODE == "nfs":
    os.unlink, os.remove = _removing(os.unlink), _removing(os.remove)
    os.rename, os.replace = _renaming(os.rename), _renaming(os.replace)
