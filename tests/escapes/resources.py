"""Attempts at more of the machine than a step may have; what needs longer is in the tests themselves."""

from __future__ import annotations

import ctypes
import os
import resource
import signal

from tests.escapes.kernel import Bait


def more_processes(bait: Bait) -> str | None:
    """So many at once that a machine of 32,768 would be lost soon: whether anything stops it."""
    children: list[int] = []
    enough = 5000
    try:
        while len(children) < enough:
            child = os.fork()
            if child == 0:
                ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # Die with us, if we are ended.
                signal.pause()
            children.append(child)
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
        for child in children:
            os.waitpid(child, 0)
    return f"{enough} processes"


def large_file(bait: Bait) -> str | None:
    """A terabyte of holes, which would be packed into a layer."""
    with open("/tmp/escape-large", "wb") as stream:
        try:
            stream.truncate(1 << 40)
            return "a terabyte"
        finally:
            os.unlink("/tmp/escape-large")


def higher_limits(bait: Bait) -> str | None:
    _, most = resource.getrlimit(resource.RLIMIT_MSGQUEUE)
    resource.setrlimit(resource.RLIMIT_MSGQUEUE, (most + 1, most + 1))
    return f"{most + 1} bytes of messages"


def core_of_a_crash(bait: Bait) -> str | None:
    """The host's program for crashes, which the kernel starts outside, would be given this process's memory."""
    return "on" if resource.getrlimit(resource.RLIMIT_CORE)[1] != 1 else None  # core(5): 0 stops no program.


def spared_when_memory_ends(bait: Bait) -> str | None:
    """Whether others are killed first, or can be made to: the host's root asks for that, nobody else."""
    with open("/proc/self/oom_score_adj", "r+") as stream:
        if int(stream.read()) < 500:
            return "not the first"
        stream.seek(0)
        stream.write("-1")
    return "lowered"
