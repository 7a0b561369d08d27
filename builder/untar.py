"""Unpack one layer from standard input into the root. Runs inside the sandbox: standard library only.

Whiteouts become overlayfs's own (Linux, filesystems/overlayfs.rst): a 0:0 character device, and `user.overlay.opaque`.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
import tarfile

_DETACH = 2
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
                os.setxattr(parent, "user.overlay.opaque", b"y")
            elif name.startswith(".wh."):
                os.mknod(f"{parent}/{name[4:]}", 0o020000, 0)
            elif member.isdir():
                os.makedirs(path, exist_ok=True)
                os.chown(path, member.uid, member.gid)
                os.chmod(path, member.mode)
            elif member.issym():
                os.symlink(member.linkname, path)
                os.lchown(path, member.uid, member.gid)
                os.utime(path, (member.mtime, member.mtime), follow_symlinks=False)
            elif member.islnk():
                os.link("/" + member.linkname, path, follow_symlinks=False)
            else:
                _file(archive, member, path)


def _file(archive: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> None:
    content = archive.extractfile(member)
    assert content is not None
    with open(path, "xb") as stream:
        shutil.copyfileobj(content, stream, 1 << 18)
        stream.flush()  # In a user namespace a later write takes away setuid.
        os.fchown(stream.fileno(), member.uid, member.gid)
        os.fchmod(stream.fileno(), member.mode)
    for key, value in member.pax_headers.items():
        if key.startswith("SCHILY.xattr."):
            os.setxattr(path, key[13:], value.encode("utf-8", "surrogateescape"))
    os.utime(path, (member.mtime, member.mtime))
