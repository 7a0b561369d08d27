"""Attempts at what belongs to the whole machine: clock, name, kernel, and what only its root may ask of it."""

from __future__ import annotations

import ctypes
import os
import socket
import time

from tests.escapes.kernel import Bait, call


def clock(bait: Bait) -> str | None:
    """To what it shows already."""
    time.clock_settime(time.CLOCK_REALTIME, time.time())
    return "set"


def host_name(bait: Bait) -> str | None:
    socket.sethostname(socket.gethostname())
    return "set"


def programs_in_the_kernel(bait: Bait) -> str | None:
    """bpf(2): a map of one element."""
    order = (ctypes.c_uint32 * 32)(2, 4, 4, 1)
    os.close(call("bpf", 0, ctypes.byref(order), 128))
    return "made"


def counters(bait: Bait) -> str | None:
    """perf_event_open(2), of a clock in software."""
    order = (ctypes.c_uint32 * 32)(1, 128)
    os.close(call("perf_event_open", ctypes.byref(order), 0, -1, -1, 0))
    return "opened"


def faults_in_user_space(bait: Bait) -> str | None:
    """userfaultfd(2), with which races in the kernel are won."""
    os.close(call("userfaultfd", 1))
    return "opened"


def log_of_the_kernel(bait: Bait) -> str | None:
    room = ctypes.create_string_buffer(4096)
    return "read" if call("syslog", 3, room, 4096) > 0 else None


def size_of_the_kernels_log(bait: Bait) -> str | None:
    return "told" if call("syslog", 10, 0, 0) > 0 else None


def another_kernel(bait: Bait) -> str | None:
    """None: it unloads what was loaded for a crash, mostly nothing."""
    call("kexec_load", 0, 0, 0, 0)
    return "loaded"


def module(bait: Bait) -> str | None:
    """An empty one, which no kernel takes: whether it says so, or that one may not."""
    try:
        call("init_module", b"", 0, b"")
    except OSError as error:
        return "looked at" if error.errno == 8 else None
    return "loaded"


def reboot(bait: Bait) -> str | None:
    """CAD_OFF: whether Ctrl-Alt-Del is the kernel's."""
    call("reboot", 0xFEE1DEAD, 672274793, 0, 0)
    return "ordered"


def swap(bait: Bait) -> str | None:
    """A file that is none: whether the kernel says so, or that one may not."""
    with open("/tmp/escape-swap", "wb"):
        pass
    try:
        call("swapon", b"/tmp/escape-swap", 0)
    except OSError as error:
        return "looked at" if error.errno == 22 else None
    return "used"


def accounting(bait: Bait) -> str | None:
    call("acct", 0)
    return "switched off"


def ports_of_the_processor(bait: Bait) -> str | None:
    call("iopl", 3)
    return "opened"


def priority(bait: Bait) -> str | None:
    os.setpriority(os.PRIO_PROCESS, 0, -20)
    return "raised"


def real_time(bait: Bait) -> str | None:
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    return "scheduled"
