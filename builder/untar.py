"""Unpack one layer from standard input into the root. Runs inside the sandbox: standard library only.

Whiteouts become overlayfs's own (Linux, filesystems/overlayfs.rst): a 0:0 character device, and `user.overlay.opaque`.
Foreign layers were judged before they come here (`kinds/oci/archive.py`); what they may have and ours have not: a path
twice, of which the last counts, names with a slash in front, and the notes of AUFS.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import stat
import sys
import tarfile

_DETACH = 2
_CAPABILITY = "security.capability"
_libc = ctypes.CDLL(None, use_errno=True)


def main(_: object) -> None:
    """Unpack until the end of the archive; modes, owners and times as they stand in it."""
    for name in ("/proc", "/dev"):  # The sandbox's own: a layer's folders of that name must not end in them.
        _libc.umount2(name.encode(), _DETACH)
        os.rmdir(name)
    with tarfile.open(fileobj=sys.stdin.buffer, mode="r|", bufsize=1 << 20) as archive:
        for member in archive:
            path = "/" + member.name.removeprefix("./").strip("/")
            parent, _, name = path.rpartition("/")
            os.makedirs(parent or "/", exist_ok=True)
            if name == ".wh..wh..opq":
                os.setxattr(parent or "/", "user.overlay.opaque", b"y")
            elif name.startswith(".wh..wh."):
                continue
            elif name.startswith(".wh."):
                _hide(f"{parent}/{name[4:]}")
            elif member.isdir():
                opaque = (os.path.islink(path) or not os.path.isdir(path)) and _vacate(path)
                os.makedirs(path, exist_ok=True)
                os.chown(path, member.uid, member.gid)
                os.chmod(path, member.mode)
                if opaque:
                    os.setxattr(path, "user.overlay.opaque", b"y")
            else:
                _vacate(path)
                _plain(archive, member, path)


def _plain(archive: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> None:
    if member.issym():
        os.symlink(member.linkname, path)
        os.lchown(path, member.uid, member.gid)
        os.utime(path, (member.mtime, member.mtime), follow_symlinks=False)
    elif member.islnk():
        os.link("/" + member.linkname.removeprefix("./").lstrip("/"), path, follow_symlinks=False)
    else:
        _file(archive, member, path)


def _hide(path: str) -> None:
    """A whiteout hides what the layers below have; what its own layer brings there stays, in whatever order."""
    if os.path.isdir(path) and not os.path.islink(path):
        os.setxattr(path, "user.overlay.opaque", b"y")
    elif not os.path.lexists(path):
        os.mknod(path, 0o020000, 0)


def _vacate(path: str) -> bool:
    """Make room for a member whose path the archive has used already; whether a whiteout stood there."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return False
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(f"{path} is a folder and something else in one layer")
    os.unlink(path)
    return stat.S_ISCHR(mode)


def _file(archive: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> None:
    content = archive.extractfile(member)
    assert content is not None
    with open(path, "xb") as stream:
        shutil.copyfileobj(content, stream, 1 << 18)
        stream.flush()  # In a user namespace a later write takes away setuid.
        os.fchown(stream.fileno(), member.uid, member.gid)
        os.fchmod(stream.fileno(), member.mode)
    if capability := member.pax_headers.get(f"SCHILY.xattr.{_CAPABILITY}"):  # All others are the host's business.
        os.setxattr(path, _CAPABILITY, capability.encode("utf-8", "surrogateescape"))
    os.utime(path, (member.mtime, member.mtime))
