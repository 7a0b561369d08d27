"""A folder on disk, usually the upper folder of an overlay → entries of a tree.

Whiteouts and opaque folders are read as the kernel writes them (Linux, filesystems/overlayfs.rst, with `userxattr`);
mtimes are clamped to `tree.NEWEST`, and a folder's own mtime, which says when something was last added, is constant.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import replace

from builder.errors import HostileInput
from builder.tree import NEWEST, Entry, File

MOST_BYTES = 256 << 30
_LONGEST = 4095
"""Bytes of a path that the kernel takes (PATH_MAX, with the zero at its end)."""
_KEPT_XATTRS = ("security.capability",)
_OPAQUE = ("user.overlay.opaque", "trusted.overlay.opaque")


def scan(root: str, owners: Mapping[str, str], skipped: frozenset[str] = frozenset()) -> Iterator[Entry]:
    """Entries below `root`, in no promised order, `skipped` top-level names left out.

    Of the names of one file, the first in byte order is the file, the others are hard links to it, so that in a sorted
    tree each stands after what it names.

    Args:
        owners: path → package, paths relative and free of links.

    Raises:
        HostileInput: a device, socket or pipe stands there, a path is too long, or there are more than `MOST_BYTES`
            bytes: holes, which take no disk but are packed.
    """
    names: dict[tuple[int, int], list[Entry]] = {}
    stack, total = [""], 0
    while stack:
        folder = stack.pop()
        with os.scandir(os.path.join(root, folder)) as listing:
            found = sorted(listing, key=lambda one: one.name)
        for one in found:
            path = f"{folder}/{one.name}" if folder else one.name
            if path in skipped:
                continue
            if len(os.fsencode(one.path)) > _LONGEST - 256:
                raise HostileInput(f"a path is too long for an image: /{path[:80]}…")
            info = one.stat(follow_symlinks=False)
            owner = owners.get(path, "")
            mtime = max(0, min(int(info.st_mtime), NEWEST))
            mode, uid, gid = stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid
            if stat.S_ISDIR(info.st_mode):
                yield Entry(path, "dir", mode, uid, gid, owner=owner)
                if is_opaque(one.path):
                    yield Entry(f"{path}/.wh..opq", "whiteout")  # tar_name makes it `.wh..wh..opq`
                stack.append(path)
            elif stat.S_ISLNK(info.st_mode):
                target = os.readlink(one.path)
                yield Entry(path, "link", 0o777, uid, gid, mtime, target=target, owner=owner)
            elif stat.S_ISREG(info.st_mode):
                total += info.st_size
                if total > MOST_BYTES:
                    raise HostileInput(
                        f"files are too large for an image: /{path}", expected=f"{MOST_BYTES} bytes in all"
                    )
                content = File(one.path, info.st_size)
                entry = Entry(path, "file", mode, uid, gid, mtime, content, owner=owner, xattrs=_xattrs(one.path))
                if info.st_nlink > 1:
                    names.setdefault((info.st_dev, info.st_ino), []).append(entry)
                else:
                    yield entry
            elif stat.S_ISCHR(info.st_mode) and info.st_rdev == 0:
                yield Entry(path, "whiteout")
            else:
                raise HostileInput(f"a device, socket or pipe cannot be part of an image: /{path}")
    for found_names in names.values():
        first, *others = sorted(found_names, key=lambda entry: entry.path.encode("utf-8", "surrogateescape"))
        yield first
        for entry in others:
            yield replace(entry, kind="hardlink", content=None, target=first.path, xattrs=())


def is_opaque(path: str) -> bool:
    """Whether a folder of an overlay's layer hides what the layers below have there."""
    for name in _OPAQUE:
        try:
            if os.getxattr(path, name, follow_symlinks=False) == b"y":
                return True
        except OSError:
            continue
    return False


def _xattrs(path: str) -> tuple[tuple[str, bytes], ...]:
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError:
        return ()
    return tuple((name, os.getxattr(path, name, follow_symlinks=False)) for name in _KEPT_XATTRS if name in names)
