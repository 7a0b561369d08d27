"""Folders for what has no name yet: where they are made, how they are locked, how those of killed builds are swept.

A root that package scripts work in is written, read once and thrown away, so it lies in memory where there is plenty:
on `/dev/shm`, if that is a tmpfs which takes user xattrs (an overlay's upper folder needs them; Linux 6.6 or newer)
and both it and the machine have `_SHARE` times of what the root is estimated at. `$STACKBUILD_SCRATCH` names another
folder, on whatever file system; then nothing is estimated.

A folder has a random name, mode 0700 from its first moment, and a locked file in it. Other users may write in
`/dev/shm`: what is not a folder of ours there is never touched or followed.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from builder.errors import StackbuildError
from builder.naming import is_named
from builder.removal import remove

VARIABLE = "STACKBUILD_SCRATCH"
_SHARED = Path("/dev/shm")
_PREFIX = "stackbuild-"
_SHARE = 4
_MARGIN = 256 << 20


def place(size: int) -> Path | None:
    """Where a root of about `size` bytes should be built; None for the store itself.

    Raises:
        StackbuildError: `$STACKBUILD_SCRATCH` names what cannot hold a root.
    """
    if chosen := os.environ.get(VARIABLE):
        folder = Path(chosen).absolute()
        if not _takes_xattrs(folder):
            raise StackbuildError(
                f"{VARIABLE} names no folder that can hold a root: {folder}",
                expected="a folder that is writable and takes user xattrs",
                next_step=f"name another one, or unset {VARIABLE}",
            )
        return folder
    wanted = _SHARE * size + _MARGIN
    if _is_tmpfs(_SHARED) and min(shutil.disk_usage(_SHARED).free, _memory()) >= wanted and _takes_xattrs(_SHARED):
        return _SHARED
    return None


def places() -> tuple[Path, ...]:
    """Folders outside of the store where killed builds may have left something."""
    return tuple(dict.fromkeys((_SHARED, Path(os.environ.get(VARIABLE) or _SHARED).absolute())))


@contextmanager
def folder(parent: Path) -> Iterator[Path]:
    """A folder of one's own, removed at the end. Its lock tells `sweep` that somebody lives there.

    Raises:
        OSError: it cannot be made.
    """
    while True:
        made = Path(tempfile.mkdtemp(dir=parent, prefix=_PREFIX))
        try:
            handle = (made / ".lock").open("w+")
        except FileNotFoundError:
            continue  # Swept in the moment before it was locked, as below.
        fcntl.flock(handle, fcntl.LOCK_SH)
        if is_named(handle.fileno(), made / ".lock"):
            break
        handle.close()
    with handle:
        try:
            yield made
        finally:
            with suppress(OSError):  # What stays is swept.
                _remove(made)


def sweep(parent: Path) -> int:
    """Remove our folders in which nobody lives any more; returns how many went.

    Whoever locks a folder looks afterwards whether it still has its name.
    """
    swept = 0
    for entry in sorted(parent.glob(f"{_PREFIX}*")):
        try:
            info = entry.lstat()
            if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.geteuid():
                continue
            # One without a lock was left by who was killed before it was locked; or by a power cut, which takes any
            # name. NFS locks for writing only what is open for it (flock(2)).
            with os.fdopen(os.open(entry / ".lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600), "r+b") as handle:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                swept += _remove(entry)
        except OSError:
            continue
    return swept


def _remove(made: Path) -> bool:
    """Remove a folder of ours, whose lock the caller holds; False if something stays, which the next sweep tries again.

    The lock goes last: a process that is still dying may write until the end, and what has no lock is never emptied.
    """
    for entry in made.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            remove(entry)
        elif entry.name != ".lock":
            entry.unlink(missing_ok=True)
    if [entry.name for entry in made.iterdir()] != [".lock"]:
        return False
    (made / ".lock").unlink()
    made.rmdir()
    return True


def full(path: Path, said: str) -> str:
    """What to do if a step that wrote below `path` said that there was no room left; "" if it did not say so."""
    if os.strerror(errno.ENOSPC) not in said:
        return ""
    mount = path
    while not os.path.ismount(mount):
        mount = mount.parent
    kind = "the file system in memory" if _is_tmpfs(mount) else "the disk"
    return f"{kind} at {mount} is full: free some room, or set {VARIABLE} to a folder elsewhere"


def _is_tmpfs(path: Path) -> bool:
    """Whether a tmpfs is mounted there (proc_pid_mounts(5)); of several mounts at one place the last is seen."""
    with open("/proc/self/mounts") as stream:
        kinds = [row[2] for row in map(str.split, stream) if row[1] == str(path)]
    return kinds[-1:] == ["tmpfs"]


def _memory() -> int:
    """Bytes that can be had without pushing anything out: of the machine, and of each cgroup above us (version 2)."""
    with open("/proc/meminfo") as stream:
        found = [int(line.split()[1]) << 10 for line in stream if line.startswith("MemAvailable:")]
    with open("/proc/self/cgroup") as stream:
        own = next((line.rstrip("\n")[4:] for line in stream if line.startswith("0::/")), "")
    groups = Path("/sys/fs/cgroup")
    for group in (groups / own, *(groups / own).parents):
        with suppress(OSError, ValueError):
            limit = int((group / "memory.max").read_text())  # "max" is no number, and no limit.
            rows = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
            cached = int(rows["active_file"]) + int(rows["inactive_file"])
            found.append(limit - int((group / "memory.current").read_text()) + cached)
    return min(found, default=0)


def _takes_xattrs(path: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=path) as probe:
            os.setxattr(probe.fileno(), "user.stackbuild", b"y")
    except OSError:
        return False
    return True
