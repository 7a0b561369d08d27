"""The root file system of the sandbox, and what is mounted in it."""

from __future__ import annotations

import os
import re
from typing import Any

from builder.sandbox_child.kernel import BIND, NODEV, NOEXEC, NOSUID, RDONLY, REC, REMOUNT, call, mount, numbered

DETACH = 2
MASKED = ("kcore", "keys", "kmsg", "kpagecgroup", "kpagecount", "kpageflags", "timer_list", "vmallocinfo")
"""Below /proc: nobody's business in here, and some of it readable by the host's uid 0 without any capability."""
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
PROCESSES = 4096
"""How many may live at once, threads counted, where the kernel lets a sandbox have its own limit."""


def make_root(spec: dict[str, Any]) -> str:
    root: str = spec["root"]
    if spec["lowers"]:
        # The kernel takes one page of options; short names relative to a folder of links leave room for 500 layers.
        os.chdir(spec["lowers_folder"])
        data = "lowerdir=" + ":".join(spec["lowers"]) + ",userxattr"
        if spec["upper"]:
            data += f",upperdir={spec['upper']},workdir={spec['work']}" + (",volatile" if spec["volatile"] else "")
        mount("overlay", root, "overlay", 0, data)
        if spec["upper"]:
            os.chmod(root, 0o755)  # Whatever umask made the upper folder, other users must get in.
    elif spec["enter"]:
        mount(root, root, flags=BIND)
    if spec["enter"]:
        devices(root)
        mount_at(root, "proc", "proc", "proc", NOSUID | NODEV | NOEXEC)
        limit(root)
        guard_proc(root)
    for path, options in spec["tmpfs"]:
        mount_at(root, path, "tmpfs", "tmpfs", NOSUID | NODEV, options)
    for source, path, readonly in spec["binds"]:
        bind(root, source, path, readonly)
    return root


def mount_at(root: str, path: str, source: str, fstype: str, flags: int, data: str = "") -> None:
    target = inside_path(root, path)
    os.makedirs(target, exist_ok=True)
    mount(source, target, fstype, flags, data)


def inside_path(root: str, path: str) -> str:
    """A mount point below the root; a link on the way (an image's own) must not lead out of it."""
    target = root
    for part in path.strip("/").split("/"):
        target = os.path.join(target, part)
        if os.path.islink(target):
            raise OSError(40, f"mount point /{path.strip('/')} leads through a link in the image")
    return target


def bind(root: str, source: str, path: str, readonly: bool) -> None:
    target = inside_path(root, path)
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    elif not os.path.lexists(target):
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "w"):
            pass
    mount(source, target, flags=BIND | REC)
    if readonly:
        mount("none", target, flags=BIND | REMOUNT | RDONLY | NOSUID | NODEV)


def devices(root: str) -> None:
    mount_at(root, "dev", "tmpfs", "tmpfs", NOSUID, "mode=0755,size=64m")
    for name in DEVICES:
        # Read-only, which writing to a device is not affected by: else the host's own node could be given another
        # owner or mode, as ids are mapped onto themselves.
        bind(root, f"/dev/{name}", f"dev/{name}", False)
        mount("none", f"{root}/dev/{name}", flags=BIND | REMOUNT | RDONLY | NOSUID | NOEXEC)
    for name, target in (("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
        os.symlink(f"/proc/self/{target}" if name != "fd" else target, f"{root}/dev/{name}")
    mount_at(root, "dev/shm", "tmpfs", "tmpfs", NOSUID | NODEV, "mode=1777")
    mount_at(root, "dev/pts", "devpts", "devpts", NOSUID | NOEXEC, "newinstance,ptmxmode=0666,mode=0620")
    os.symlink("pts/ptmx", f"{root}/dev/ptmx")


def limit(root: str) -> None:
    """What the new namespaces may have, told to the kernel by settings that are theirs and not the host's."""
    with open(f"{root}/proc/sys/user/max_user_namespaces", "w") as stream:
        stream.write("0")  # In another one, whoever made it would hold every capability again.
    release = re.match(r"(\d+)\.(\d+)", os.uname().release)
    if release and (int(release[1]), int(release[2])) >= (6, 14):  # Before that, it was the whole machine's.
        with open(f"{root}/proc/sys/kernel/pid_max", "w") as stream:
            stream.write(str(PROCESSES))


def guard_proc(root: str) -> None:
    """Make read-only what is no process: the kernel lets the host's uid 0 write it, with capabilities or without."""
    links = ("self", "thread-self", "net", "mounts")
    for name in sorted(os.listdir(f"{root}/proc")):
        if name.isdigit() or name in links:
            continue
        path = f"{root}/proc/{name}"
        mount(f"{root}/dev/null" if name in MASKED else path, path, flags=BIND | REC)
        mount("none", path, flags=BIND | REMOUNT | RDONLY | NOSUID | NODEV * (name not in MASKED) | NOEXEC)


def pivot(root: str) -> None:
    os.chdir(root)
    numbered("pivot_root", b".", b".")
    call("umount2", b".", DETACH)
    os.chdir("/")
