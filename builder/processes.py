"""Processes of containers as this machine's kernel tells of them: proc(5), namespaces(7), pidfd_open(2)."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import select
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

_NEWNET = 0x40000000
_SIOCSIFADDR = 0x8916
_SIOCBRADDBR = 0x89A0
_libc = ctypes.CDLL(None, use_errno=True)
_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process as it was when it was looked at.

    Attributes:
        pid: as this machine numbers it.
        argv: its command line; empty for a zombie.
        env: what it was started with.
        groups: the supplementary ones, in the kernel's order.
        umask: what its new files do not get.
    """

    pid: int
    parent: int
    argv: tuple[str, ...]
    env: Mapping[str, str]
    uid: int
    gid: int
    groups: tuple[int, ...]
    umask: int
    no_new_privs: bool


def look(pid: int) -> Process:
    """One process.

    Raises:
        OSError: there is none, or we may not look.
    """
    place = Path(f"/proc/{pid}")
    lines = (place / "status").read_text(errors="replace").splitlines()
    told = {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
    env = (entry for entry in _strings(place / "environ") if "=" in entry)
    return Process(
        pid=pid,
        parent=int(told["PPid"][0]),
        argv=tuple(_strings(place / "cmdline")),
        env=dict(entry.split("=", 1) for entry in env),
        uid=int(told["Uid"][0]),
        gid=int(told["Gid"][0]),
        groups=tuple(map(int, told["Groups"])),
        umask=int(told["Umask"][0], 8),
        no_new_privs=told["NoNewPrivs"] == ["1"],
    )


def neighbours(pid: int) -> Iterator[Process]:
    """The processes that share a process's PID namespace, itself among them, by number; none once it has ended."""
    try:
        own = os.stat(f"/proc/{pid}/ns/pid").st_ino
    except OSError:
        return
    for number in sorted(int(name) for name in os.listdir("/proc") if name.isdigit()):
        try:
            if os.stat(f"/proc/{number}/ns/pid").st_ino == own:
                yield look(number)
        except OSError:
            continue  # It has ended meanwhile.


def in_network_of(pid: int, act: Callable[[], _Found]) -> _Found:
    """What a function gives when it is called in a process's network namespace; sockets made there stay there.

    A thread joins the namespace for as long as it takes: setns(2) is per thread.

    Raises:
        OSError: the process has ended, or we may not join it; or whatever the function raises.
    """
    if not pid:
        raise ProcessLookupError(errno.ESRCH, "the process has ended")
    answer: list[_Found | OSError] = []

    def inside() -> None:
        try:
            with open(f"/proc/{pid}/ns/net") as namespace:
                if _libc.setns(namespace.fileno(), _NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), f"setns: {os.strerror(ctypes.get_errno())}")
            answer.append(act())
        except OSError as error:
            answer.append(error)

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    found = answer[0]
    if isinstance(found, OSError):
        raise found
    return found


def give_address(pid: int, address: str) -> None:
    """Let a process's network namespace have an interface `net0` with an address, which leads nowhere: netdevice(7).

    It is a bridge of nothing, since that is what one call makes.

    Raises:
        OSError: the process has ended, or we may not, or this kernel has no bridges.
    """
    request = struct.pack("16sHH4s8x", b"net0", socket.AF_INET, 0, socket.inet_aton(address))

    def give() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            fcntl.ioctl(asking, _SIOCBRADDBR, b"net0\0")
            fcntl.ioctl(asking, _SIOCSIFADDR, request)

    in_network_of(pid, give)


@contextmanager
def handle(pid: int) -> Iterator[int]:
    """A pidfd, which means this process and never another one that gets its number; -1 for one that has ended."""
    try:
        found = os.pidfd_open(pid)
    except OSError:
        found = -1
    try:
        yield found
    finally:
        if found >= 0:
            os.close(found)


def ends(handle: int, seconds: float | None) -> bool:
    """Whether a process has ended, waiting so long at most; None for as long as it takes."""
    if handle < 0:
        return True
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    return bool(poll.poll(None if seconds is None else max(0.0, seconds) * 1000))


def _strings(path: Path) -> list[str]:
    return [part.decode(errors="replace") for part in path.read_bytes().split(b"\0")[:-1]]
