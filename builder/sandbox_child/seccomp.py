"""The system calls that code in the sandbox is refused: a filter as the kernel reads it (seccomp(2)).

Capabilities and namespaces refuse most of what is not theirs. What is left knows neither: the kernel's keyrings, which
are inherited; sockets to the hypervisor and of families that nothing here speaks; ways around filters (io_uring); and
parts of the kernel that only tools for looking into it need. To whoever asks they are not there (ENOSYS), as in a
kernel that was built without. Programs of another word size than the kernel's would have other numbers for all these,
and have none at all.

    architecture ──other──▶ ENOSYS
    number ──refused──▶ ENOSYS
       ├── socket ── a family that is not listed ──▶ EAFNOSUPPORT
       ├── ioctl ── typing into a terminal ──▶ EPERM
       └── all others ──▶ allowed

The rest of the kernel stays within reach: this is no list of what is allowed.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Mapping
from typing import Final

_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_NUMBER, _ARCHITECTURE, _FIRST, _SECOND = 0, 4, 16, 24
"""Where struct seccomp_data has them; of an argument the lower half, as both machines are little-endian."""
_ALLOW, _ERRNO = 0x7FFF0000, 0x50000
_X32 = 0x40000000
"""From here on a number of amd64 means x32."""

_MACHINES: Final[Mapping[str, int]] = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_REFUSED: Final[Mapping[str, tuple[int, int]]] = {
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "syslog": (103, 116),
    "open_by_handle_at": (304, 265),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
}
"""Numbers on amd64 and arm64 (arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h)."""
_SOCKET, _IOCTL = (41, 198), (16, 29)
_FAMILIES = (1, 2, 10, 16)
"""unix, inet, inet6, netlink: address_families(7)."""
_TYPING = (0x5412, 0x541C)
"""TIOCSTI and TIOCLINUX (ioctl_tty(2))."""


def program(machine: str) -> bytes:
    """The filter for a machine of that name (uname(2)): its struct sock_filter, end to end.

    Raises:
        KeyError: there is no such machine here.
    """
    column = list(_MACHINES).index(machine) if machine in _MACHINES else -1
    rows = [_row(_LOAD, _ARCHITECTURE), _row(_EQUAL, _MACHINES[machine], 1, 0), _refuse(errno.ENOSYS)]
    rows += [_row(_LOAD, _NUMBER), _row(_AT_LEAST, _X32, 0, 1), _refuse(errno.ENOSYS)]
    for numbers in _REFUSED.values():
        rows += [_row(_EQUAL, numbers[column], 0, 1), _refuse(errno.ENOSYS)]
    families = [_row(_EQUAL, family, len(_FAMILIES) - place, 0) for place, family in enumerate(_FAMILIES)]
    rows += _of(_SOCKET[column], [_row(_LOAD, _FIRST), *families, _refuse(errno.EAFNOSUPPORT), _row(_RETURN, _ALLOW)])
    typing = [row for order in _TYPING for row in (_row(_EQUAL, order, 0, 1), _refuse(errno.EPERM))]
    rows += _of(_IOCTL[column], [_row(_LOAD, _SECOND), *typing, _row(_RETURN, _ALLOW)])
    return b"".join([*rows, _row(_RETURN, _ALLOW)])


def _of(number: int, rows: list[bytes]) -> list[bytes]:
    """Rows for one system call; they end with a return."""
    return [_row(_EQUAL, number, 0, len(rows)), *rows]


def _row(code: int, value: int, so: int = 0, otherwise: int = 0) -> bytes:
    """One struct sock_filter: a jump passes over so many rows if the comparison holds, or does not."""
    return struct.pack("<HBBI", code, so, otherwise, value)


def _refuse(number: int) -> bytes:
    return _row(_RETURN, _ERRNO | number)
