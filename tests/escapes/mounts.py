"""Attempts at mounts and namespaces."""

from __future__ import annotations

import os

from tests.escapes.kernel import Bait, call

_NEWNS, _NEWUSER = 0x20000, 0x10000000


def _folder() -> bytes:
    os.makedirs("/tmp/escape-mount", exist_ok=True)
    return b"/tmp/escape-mount"


def _mounts(source: bytes, kind: bytes | int, flags: int = 0, data: bytes | None = None) -> str:
    """In a namespace of one's own where that is allowed, so that outside of the sandbox nothing stays."""
    place = _folder()
    try:
        call("unshare", _NEWNS)
        call("mount", b"none", b"/", 0, 0x4000 | 0x40000, 0)
    except OSError:
        pass
    call("mount", source, place, kind, flags, data or 0)
    return "mounted"


def file_system_in_memory(bait: Bait) -> str | None:
    return _mounts(b"none", b"tmpfs")


def processes_once_more(bait: Bait) -> str | None:
    return _mounts(b"none", b"proc")


def devices_of_the_kernel(bait: Bait) -> str | None:
    return _mounts(b"none", b"sysfs")


def device_folder(bait: Bait) -> str | None:
    return _mounts(b"none", b"devtmpfs")


def folder_elsewhere(bait: Bait) -> str | None:
    return _mounts(b"/", 0, 4096)


def overlay(bait: Bait) -> str | None:
    return _mounts(b"none", b"overlay", 0, b"lowerdir=/usr:/etc")


def control_groups(bait: Bait) -> str | None:
    """Of version 1, whose release_agent the kernel runs as the host's root; else of version 2."""
    try:
        return _mounts(b"none", b"cgroup", 0, b"none,name=escape")
    except OSError:
        return _mounts(b"none", b"cgroup2")


def disk(bait: Bait) -> str | None:
    return _mounts(bait["disk_name"].encode(), b"ext4", 1)


def new_interface(bait: Bait) -> str | None:
    os.close(call("fsopen", b"tmpfs", 0))
    return "opened"


def copy_of_a_tree(bait: Bait) -> str | None:
    os.close(call("open_tree", -100, b"/", 1 | 0x8000))
    return "copied"


def reveal_what_is_covered(bait: Bait) -> str | None:
    """Take away the covers of /proc; outside, a mount that is there in a namespace of one's own."""
    if bait.get("outside"):
        call("unshare", _NEWNS)
        call("mount", b"none", b"/", 0, 0x4000 | 0x40000, 0)
    call("umount2", b"/proc/sys" if not bait.get("outside") else b"/dev/pts", 2)
    return "uncovered"


def write_what_is_read_only(bait: Bait) -> str | None:
    place = b"/proc/sys"
    if bait.get("outside"):
        _mounts(b"/usr", 0, 4096)
        place = b"/tmp/escape-mount"
    call("mount", b"none", place, 0, 32 | 4096, 0)
    return "remounted"


def another_root(bait: Bait) -> str | None:
    call("unshare", _NEWNS)
    return "a namespace"


def user_namespace(bait: Bait) -> str | None:
    """Where one holds every capability, and reaches much more of the kernel."""
    call("unshare", _NEWUSER)
    return "made"


def user_namespace_by_clone(bait: Bait) -> str | None:
    import ctypes

    order = (ctypes.c_uint64 * 11)(_NEWUSER, 0, 0, 0, 17)
    child = call("clone3", ctypes.byref(order), 88)
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return "made"


def mounts_in_a_user_namespace(bait: Bait) -> str | None:
    call("unshare", _NEWUSER | _NEWNS)
    call("mount", b"none", _folder(), b"tmpfs", 0, 0)
    return "mounted"


def namespace_of_another(bait: Bait) -> str | None:
    for name, flag in (("mnt", _NEWNS), ("uts", 0x4000000), ("ipc", 0x8000000)):
        call("setns", os.open(f"/proc/{bait['pid']}/ns/{name}", os.O_RDONLY), flag)
    return "joined"


def _opened(path: str) -> str:
    """Open for writing, write nothing."""
    os.close(os.open(path, os.O_WRONLY))
    return path


def program_for_crashes(bait: Bait) -> str | None:
    return _opened("/proc/sys/kernel/core_pattern")


def program_for_modules(bait: Bait) -> str | None:
    return _opened("/proc/sys/kernel/modprobe")


def formats_of_programs(bait: Bait) -> str | None:
    return _opened("/proc/sys/fs/binfmt_misc/register")


def memory_of_the_machine(bait: Bait) -> str | None:
    return _opened("/proc/sys/vm/overcommit_memory")


def orders_to_the_kernel(bait: Bait) -> str | None:
    return _opened("/proc/sysrq-trigger")


def ranges_of_memory(bait: Bait) -> str | None:
    return _opened("/proc/mtrr")


def other_files_of_the_machine(bait: Bait) -> str | None:
    """Whatever below /proc is no process and can be opened for writing."""
    for name in sorted(os.listdir("/proc")):
        if name.isdigit() or name in {"self", "thread-self", "net", "mounts"}:
            continue
        for folder, _, files in os.walk(f"/proc/{name}") if os.path.isdir(f"/proc/{name}") else [("/proc", (), [name])]:
            for file in files:
                try:
                    handle = os.open(f"{folder}/{file}", os.O_WRONLY | os.O_NONBLOCK)
                except OSError:
                    continue
                null = os.fstat(handle).st_rdev == os.makedev(1, 3)  # It lies on what nobody is to see.
                os.close(handle)
                if not null:
                    return f"{folder}/{file}"
    return None


def folder_of_the_machine(bait: Bait) -> str | None:
    return " ".join(os.listdir("/sys"))
