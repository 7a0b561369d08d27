"""Attempts at the host's files."""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from tests.escapes.kernel import Bait, call


def _read(path: str) -> bytes:
    with open(path, "rb") as stream:
        return stream.read(4096)


def _tells(bait: Bait, path: str) -> str | None:
    return path if bait["secret"].encode() in _read(path) else None


def _any(bait: Bait, paths: list[str]) -> str | None:
    for path in paths:
        try:
            if _tells(bait, path):
                return path
        except OSError:
            continue
    return None


def secret_by_its_path(bait: Bait) -> str | None:
    return _tells(bait, bait["file"])


def secret_in_the_home(bait: Bait) -> str | None:
    return _tells(bait, bait["home"] + "/.netrc")


def another_package_of_the_store(bait: Bait) -> str | None:
    """By its path on the host, and where the sandbox shows the packages that are being installed."""
    name = os.path.basename(bait["source"])
    folders = ("/run/stackbuild/sources", "/run/stackbuild/plain", "/run/stackbuild/env")
    return _any(bait, [bait["source"], *(f"{folder}/{name}" for folder in folders)])


def writing_into_the_store(bait: Bait) -> str | None:
    for folder in (os.path.dirname(bait["source"]), "/run/stackbuild/sources", "/run/stackbuild/env"):
        try:
            if os.stat(folder).st_dev == os.stat("/run").st_dev and not bait.get("outside"):
                continue  # A folder in the sandbox's own memory, with files of the store mounted in it.
            with open(f"{folder}/escape", "w"):
                pass
            os.unlink(f"{folder}/escape")
            return folder
        except OSError:
            continue
    return None


def changing_what_is_lent(bait: Bait) -> str | None:
    """Every file that is mounted from the host for reading: open it for writing, change its mode, owner and time."""
    with open("/proc/self/mountinfo") as stream:
        rows = [line.split() for line in stream]
    lent = [row[4] for row in rows if "ro" in row[5].split(",") and not row[4].startswith("/proc/")]
    for path in [*lent, *bait.get("lent", [])]:
        info = os.stat(path)
        attempts: list[Callable[[], object]] = [
            partial(os.chmod, path, stat.S_IMODE(info.st_mode)),
            partial(os.utime, path, ns=(info.st_atime_ns, info.st_mtime_ns)),
            partial(os.chown, path, info.st_uid, info.st_gid),
            *([partial(os.open, path, os.O_WRONLY)] if stat.S_ISREG(info.st_mode) else []),
        ]
        for number, attempt in enumerate(attempts):
            with suppress(OSError):
                attempt()
                return f"{path} {number}"
    return None


def through_roots_of_processes(bait: Bait) -> str | None:
    pids = [one for one in os.listdir("/proc") if one.isdigit()]
    return _any(bait, [f"/proc/{pid}/{way}{bait['file']}" for pid in [*pids, bait["pid"]] for way in ("root", "cwd")])


def through_inherited_folders(bait: Bait) -> str | None:
    for pid in ("self", "1", str(os.getppid())):
        for number in range(512):
            for way in ("", "/..", "/../../../../../../../.."):
                if _any(bait, [f"/proc/{pid}/fd/{number}{way}{bait['file']}"]):
                    return f"{pid} {number}{way}"
    return None


def up_from_the_working_folder(bait: Bait) -> str | None:
    return _any(bait, ["../" * 40 + bait["file"].lstrip("/")])


def out_of_a_second_root(bait: Bait) -> str | None:
    """The classic: chroot below, with a folder above still open."""
    top = os.open("/", os.O_RDONLY)
    os.makedirs("/tmp/below", exist_ok=True)
    os.chroot("/tmp/below")
    os.fchdir(top)
    for _ in range(40):
        os.chdir("..")
    os.chroot(".")
    return _tells(bait, bait["file"])


def by_file_handle(bait: Bait) -> str | None:
    """open_by_handle_at knows no paths: any mount of the disk will do."""
    handle = bytes.fromhex(bait["handle"])
    with open("/proc/self/mountinfo") as stream:
        places = {line.split()[4] for line in stream}
    for place in sorted(places | {"/", "/proc/self/fd/1"}):
        try:
            mount = os.open(place, os.O_RDONLY | os.O_NONBLOCK)
            found = call("open_by_handle_at", mount, ctypes.c_char_p(handle), os.O_RDONLY)
        except OSError:
            continue
        if bait["secret"].encode() in os.read(found, 4096):
            return place
    return None


def by_a_node_of_the_disk(bait: Bait) -> str | None:
    os.mknod("/tmp/escape-disk", 0o600 | stat.S_IFBLK, os.makedev(*bait["disk"]))
    try:
        return "read" if _read("/tmp/escape-disk") else None
    finally:
        os.unlink("/tmp/escape-disk")


def _node(major: int, minor: int, flags: int = os.O_RDONLY) -> str | None:
    path = f"/tmp/escape-{major}-{minor}"
    os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(major, minor))
    try:
        os.close(os.open(path, flags | os.O_NONBLOCK))
        return path
    finally:
        os.unlink(path)


def by_a_node_of_memory(bait: Bait) -> str | None:
    return _node(1, 1)


def by_a_node_of_the_kernels_log(bait: Bait) -> str | None:
    return _node(1, 11)


def by_a_node_of_fuse(bait: Bait) -> str | None:
    return _node(10, 229, os.O_RDWR)


def by_a_node_of_loop_devices(bait: Bait) -> str | None:
    return _node(10, 237, os.O_RDWR)


def by_a_node_of_a_terminal(bait: Bait) -> str | None:
    return _node(4, 1, os.O_RDWR | os.O_NOCTTY)


def by_a_node_of_the_hypervisor(bait: Bait) -> str | None:
    return _node(10, 232, os.O_RDWR)


def devices_that_are_there(bait: Bait) -> str | None:
    known = {"null", "zero", "full", "random", "urandom", "tty", "ptmx", "fd", "stdin", "stdout", "stderr"}
    nodes = [one for one in os.listdir("/dev") if one not in known]
    found = [one for one in nodes if stat.S_IFMT(os.lstat(f"/dev/{one}").st_mode) in {stat.S_IFBLK, stat.S_IFCHR}]
    return " ".join(found)


def mode_of_a_device_of_the_host(bait: Bait) -> str | None:
    """The host's own /dev/full: whoever changes the mode or owner of /dev/null so stops the machine."""
    os.chmod("/dev/full", stat.S_IMODE(os.stat("/dev/full").st_mode))
    return "chmod"


def owner_of_a_device_of_the_host(bait: Bait) -> str | None:
    info = os.stat("/dev/full")
    os.chown("/dev/full", info.st_uid, info.st_gid)
    return "chown"


def time_of_a_device_of_the_host(bait: Bait) -> str | None:
    info = os.stat("/dev/full")
    os.utime("/dev/full", ns=(info.st_atime_ns, info.st_mtime_ns))
    return "utime"


def note_on_a_device_of_the_host(bait: Bait) -> str | None:
    os.setxattr("/dev/full", "trusted.escape" if os.geteuid() == 0 else "user.escape", b"x")
    os.removexattr("/dev/full", "trusted.escape")
    return "setxattr"


def setuid_log(bait: Bait) -> str | None:
    """The log is a file of the host: emptied, filled with a program and made setuid root, it would be anybody's."""
    for number in (1, 2):
        info = os.fstat(number)
        if stat.S_ISREG(info.st_mode):
            os.fchmod(number, stat.S_IMODE(info.st_mode))
            os.close(os.open(f"/proc/self/fd/{number}", os.O_WRONLY))
            return f"fd {number}"
    return None


def hard_link_of_the_log(bait: Bait) -> str | None:
    place = bait.get("beside", "/tmp") + "/escape-link"
    folder = os.open("/", os.O_RDONLY)  # Only so is linkat(2) told to follow.
    os.link("/proc/self/fd/1", place if bait.get("outside") else "/tmp/escape-link", src_dir_fd=folder)
    os.unlink(place if bait.get("outside") else "/tmp/escape-link")
    return "linked"
