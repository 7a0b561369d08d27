"""Attempts at other processes: those of the host, and stackbuild's own in the sandbox."""

from __future__ import annotations

import ctypes
import os
import signal

from tests.escapes.kernel import Bait, call


class _Part(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]


def _elders(bait: Bait) -> list[int]:
    """Stackbuild's processes in the sandbox, which have rights that a script has not; outside, the bait."""
    if bait.get("outside"):
        return [bait["pid"]]
    found = []
    for pid in sorted(int(one) for one in os.listdir("/proc") if one.isdigit()):
        with open(f"/proc/{pid}/cmdline", "rb") as stream:
            if b"sandbox_child" in stream.read():
                found.append(pid)
    return found


def bait_is_seen(bait: Bait) -> str | None:
    for pid in os.listdir("/proc"):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as stream:
                if bait["word"].encode() in stream.read():
                    return pid
        except OSError:
            continue
    return None


def signal_to_the_bait(bait: Bait) -> str | None:
    with open(f"/proc/{bait['pid']}/cmdline", "rb") as stream:
        if bait["word"].encode() not in stream.read():
            return None  # That number is somebody else's in here.
    os.kill(bait["pid"], signal.SIGCONT)
    return "sent"


def signal_to_the_bait_by_descriptor(bait: Bait) -> str | None:
    os.close(call("pidfd_open", bait["pid"], 0))
    return signal_to_the_bait(bait)


def trace_the_bait(bait: Bait) -> str | None:
    call("ptrace", 0x4206, bait["pid"], 0, 0)
    return "seized"


def memory_of_the_bait(bait: Bait) -> str | None:
    with open(f"/proc/{bait['pid']}/mem", "rb"):
        return "opened"


def trace_an_elder(bait: Bait) -> str | None:
    for pid in _elders(bait):
        try:
            call("ptrace", 0x4206, pid, 0, 0)
            return str(pid)
        except OSError:
            continue
    return None


def memory_of_an_elder(bait: Bait) -> str | None:
    for pid in _elders(bait):
        try:
            with open(f"/proc/{pid}/mem", "r+b"):
                return str(pid)
        except OSError:
            continue
    return None


def memory_of_an_elder_by_its_number(bait: Bait) -> str | None:
    for pid in _elders(bait):
        with open(f"/proc/{pid}/maps") as stream:
            start = int(stream.readline().split("-")[0], 16)
        room = ctypes.create_string_buffer(4)
        mine, theirs = _Part(ctypes.addressof(room), 4), _Part(start, 4)
        if call("process_vm_readv", pid, ctypes.byref(mine), 1, ctypes.byref(theirs), 1, 0) == 4:
            return str(pid)
    return None


def descriptor_of_an_elder(bait: Bait) -> str | None:
    for pid in _elders(bait):
        try:
            call("pidfd_getfd", call("pidfd_open", pid, 0), 1, 0)
            return str(pid)
        except OSError:
            continue
    return None


def files_of_an_elder(bait: Bait) -> str | None:
    """What an elder has open, which /proc/<pid>/fd would open once more."""
    for pid in _elders(bait):
        try:
            return os.readlink(f"/proc/{pid}/fd/1")
        except OSError:
            continue
    return None


def inherited_descriptors(bait: Bait) -> str | None:
    """Whatever is open beside the three streams and this program's own pipe."""
    found = []
    for number in map(int, os.listdir("/proc/self/fd")):
        try:
            os.fstat(number)
        except OSError:
            continue  # The listing's own.
        if number > 2 and number not in bait["own_pipes"]:
            found.append(number)
    return " ".join(map(str, found))


def input_of_the_host(bait: Bait) -> str | None:
    return "read" if os.read(0, 100) else None


def shared_memory_of_system_v(bait: Bait) -> str | None:
    call("shmget", bait["shm"], 0, 0)
    return "found"


def limits_of_the_bait(bait: Bait) -> str | None:
    import resource

    resource.prlimit(bait["pid"], resource.RLIMIT_NOFILE)
    return signal_to_the_bait(bait)


def typing_into_a_terminal(bait: Bait) -> str | None:
    """TIOCSTI: what whoever runs stackbuild in a terminal would have typed. Here into a terminal of one's own."""
    import fcntl
    import termios

    _, secondary = os.openpty()
    os.setsid()
    fcntl.ioctl(secondary, termios.TIOCSCTTY, 0)
    fcntl.ioctl(secondary, termios.TIOCSTI, b"x")
    return "typed"
