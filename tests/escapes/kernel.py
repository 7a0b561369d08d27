"""System calls by number, for attempts: no program of a small root makes them. Standard library only."""

from __future__ import annotations

import ctypes
import os
from typing import Any

_NUMBERS = {
    "x86_64": {
        "keyctl": 250, "ptrace": 101, "unshare": 272, "mount": 165, "umount2": 166, "pivot_root": 155, "setns": 308,
        "bpf": 321, "perf_event_open": 298, "userfaultfd": 323, "kexec_load": 246, "init_module": 175, "reboot": 169,
        "swapon": 167, "acct": 163, "iopl": 172, "syslog": 103, "open_by_handle_at": 304, "process_vm_readv": 310,
        "mknodat": 259, "quotactl": 179, "shmget": 29, "shmctl": 31, "add_key": 248, "sethostname": 170,
        "name_to_handle_at": 303,
    },
    "aarch64": {
        "keyctl": 219, "ptrace": 117, "unshare": 97, "mount": 40, "umount2": 39, "pivot_root": 41, "setns": 268,
        "bpf": 280, "perf_event_open": 241, "userfaultfd": 282, "kexec_load": 104, "init_module": 105, "reboot": 142,
        "swapon": 224, "acct": 89, "syslog": 116, "open_by_handle_at": 265, "process_vm_readv": 270, "mknodat": 33,
        "quotactl": 60, "shmget": 194, "shmctl": 195, "add_key": 217, "sethostname": 161,
        "name_to_handle_at": 264,
    },
}  # fmt: skip
_SAME = {
    "pidfd_open": 434, "io_uring_setup": 425, "fsopen": 430, "open_tree": 428, "move_mount": 429, "clone3": 435,
    "pidfd_getfd": 438, "mount_setattr": 442,
}  # fmt: skip
Bait = dict[str, Any]
"""What `bait.py` laid out, as JSON."""
NUMBERS = {**_NUMBERS[os.uname().machine], **_SAME}
_libc = ctypes.CDLL(None, use_errno=True)


def call(name: str, *arguments: object) -> int:
    """One system call; text goes as bytes, numbers as longs.

    Raises:
        OSError: it failed, or this processor has none of that name.
    """
    if name not in NUMBERS:
        raise OSError(38, name)
    passed = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    found = _libc.syscall(ctypes.c_long(NUMBERS[name]), *passed)
    if found < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return int(found)
