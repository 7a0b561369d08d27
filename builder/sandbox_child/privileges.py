"""What a process in the sandbox gives up before it is anybody else's."""

from __future__ import annotations

import ctypes
import os
import resource
import struct

from builder.sandbox_child import seccomp
from builder.sandbox_child.kernel import DROP_FROM_BOUNDS, SECCOMP, call

KEPT_CAPABILITIES = frozenset({0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31})
"""What container engines leave to a root by default: enough for package scripts, not enough to mount or to trace.

chown, dac_override, fowner, fsetid, kill, setgid, setuid, setpcap, net_bind_service, net_raw, sys_chroot, mknod,
audit_write, setfcap (capabilities(7)).
"""
LARGEST = 32 << 30
"""Bytes of a file that a build step may write: holes take no disk, but are packed."""


def drop_capabilities() -> None:
    """Take from whatever is executed from here on, and its children, all but `KEPT_CAPABILITIES` (capabilities(7))."""
    with open("/proc/sys/kernel/cap_last_cap") as stream:
        last = int(stream.read())
    for number in range(last + 1):
        if number not in KEPT_CAPABILITIES:
            call("prctl", DROP_FROM_BOUNDS, number, 0, 0, 0)


def limit_process(as_init: bool) -> None:
    # Of one byte: neither a file, nor the host's own program for crashes (core(5)), which would get all our memory.
    resource.setrlimit(resource.RLIMIT_CORE, (1, 1))
    if not as_init:
        _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
        size = LARGEST if most == resource.RLIM_INFINITY else min(most, LARGEST)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def refuse_calls() -> None:
    """Have the kernel refuse system calls to this process and all that come of it (`seccomp.py`)."""
    rows = seccomp.program(os.uname().machine)
    buffer = ctypes.create_string_buffer(rows, len(rows))
    order = struct.pack("@HP", len(rows) // 8, ctypes.addressof(buffer))
    call("prctl", SECCOMP, 2, ctypes.c_char_p(order), 0, 0)
