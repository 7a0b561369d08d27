"""New namespaces, or those of a sandbox that is there."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
from typing import Any

from builder.sandbox_child.kernel import call, die_with_parent

NEWNS, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET = 0x20000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
NEWCGROUP = 0x2000000


def enter_namespaces(spec: dict[str, Any]) -> None:
    """New namespaces, with ids mapped onto themselves: root in there is nobody special out here."""
    flags = NEWNS | NEWUTS | NEWIPC | NEWPID | NEWCGROUP | (0 if spec["network"] else NEWNET)
    if spec["user_namespace"]:
        # Only a process outside of the new namespace may write more than one id into its maps.
        ready_r, ready_w = os.pipe()
        me = os.getpid()
        maps = {name: identity_map(f"/proc/self/{name}", spec["ids"]) for name in ("uid_map", "gid_map")}
        helper = os.fork()
        if helper == 0:
            os.close(ready_w)
            os.read(ready_r, 1)
            code = 0
            try:
                for name in ("uid_map", "gid_map"):
                    with open(f"/proc/{me}/{name}", "w") as stream:
                        stream.write(maps[name])
            except OSError:
                code = 1
            os._exit(code)
        try:
            call("unshare", flags | NEWUSER)
        finally:
            os.write(ready_w, b"x")
        if os.waitpid(helper, 0)[1] != 0:
            raise OSError(1, "write the id maps: not permitted")
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
    else:
        call("unshare", flags)
    die_with_parent()
    if os.getppid() != spec["parent"]:
        os._exit(125)


def join_namespaces(spec: dict[str, Any]) -> None:
    """Those of a process that is there; the user namespace first, in which the right to join the others is."""
    names = ("user", "mnt", "uts", "ipc", "net", "cgroup", "pid")
    flags = zip(names, (NEWUSER, NEWNS, NEWUTS, NEWIPC, NEWNET, NEWCGROUP, NEWPID), strict=True)
    opened = [(os.open(f"/proc/{spec['join']}/ns/{name}", os.O_RDONLY), flag) for name, flag in flags]
    for descriptor, flag in opened:
        call("setns", descriptor, flag)
        os.close(descriptor)
    os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    die_with_parent()


def identity_map(path: str, ids: int) -> str:
    """Ids below `ids`, each mapped onto itself, in the extents that this process has: none may span two of them."""
    lines = []
    with open(path) as stream:
        for line in stream:
            start, _, count = map(int, line.split())
            if start < ids:
                lines.append(f"{start} {start} {min(count, ids - start)}\n")
    return "".join(lines)


def loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        request = struct.pack("16sH14x", b"lo", 1 | 64)
        fcntl.ioctl(probe, 0x8914, request)
