"""System calls that Python has no word for, through libc."""

from __future__ import annotations

import ctypes
import os
import signal

DEATH_SIGNAL, SECCOMP, DROP_FROM_BOUNDS, NO_NEW_PRIVS = 1, 22, 24, 38
"""What prctl(2) sets."""
RDONLY, NOSUID, NODEV, NOEXEC, REMOUNT, BIND, REC, PRIVATE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 18
"""Flags of mount(2)."""
_NUMBERS = {"x86_64": {"keyctl": 250, "pivot_root": 155}, "aarch64": {"keyctl": 219, "pivot_root": 41}}
"""Of calls that libc has no function for; sources as in `seccomp.py`."""

_libc = ctypes.CDLL(None, use_errno=True)


def call(name: str, *args: object) -> None:
    """One system call through libc; its errno as an OSError that names it."""
    if getattr(_libc, name)(*args) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def numbered(name: str, *args: object) -> None:
    """One system call by its number; its errno as an OSError that names it."""
    if _libc.syscall(_NUMBERS[os.uname().machine][name], *args) < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def mount(source: str, target: str, fstype: str = "", flags: int = 0, data: str = "") -> None:
    try:
        call("mount", source.encode(), target.encode(), fstype.encode() or None, flags, data.encode() or None)
    except OSError as error:
        raise OSError(error.errno, f"mount {fstype or source} on {target}: {os.strerror(error.errno or 0)}") from None


def die_with_parent() -> None:
    """To be said again after each change of ids, which clears it."""
    call("prctl", DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)


def personality(flags: int) -> None:
    """What this process and those that come of it are given: personality(2). A kernel without it changes nothing."""
    _libc.personality(flags)
