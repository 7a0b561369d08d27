"""The inside of the sandbox: runs as a program of its own, with the standard library only.

`sandbox.py` starts it as `python -I -S sandbox_child.py SPEC_FD STATUS_FD`. It enters new namespaces, mounts the
root, gives up what the specification says, and executes the command. On STATUS_FD it writes one JSON line: the
command's first process id as the host sees it, or the step that failed.

The order follows namespaces(7), user_namespaces(7), pivot_root(2) and mount(2).
"""

from __future__ import annotations

import ctypes
import fcntl
import importlib
import json
import os
import re
import resource
import signal
import socket
import struct
import sys
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

NEWNS, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET = 0x20000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
NEWCGROUP = 0x2000000
RDONLY, NOSUID, NODEV, NOEXEC, REMOUNT, BIND, REC, PRIVATE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 18
DETACH = 2
DEATH_SIGNAL, SECCOMP, DROP_FROM_BOUNDS, NO_NEW_PRIVS = 1, 22, 24, 38
ADDR_NO_RANDOMIZE = 0x0040000
KEPT_CAPABILITIES = frozenset({0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31})
"""What container engines leave to a root by default: enough for package scripts, not enough to mount or to trace.

chown, dac_override, fowner, fsetid, kill, setgid, setuid, setpcap, net_bind_service, net_raw, sys_chroot, mknod,
audit_write, setfcap (capabilities(7)).
"""
MASKED = ("kcore", "keys", "kmsg", "kpagecgroup", "kpagecount", "kpageflags", "timer_list", "vmallocinfo")
"""Below /proc: nobody's business in here, and some of it readable by the host's uid 0 without any capability."""
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
PROCESSES = 4096
"""How many may live at once, threads counted, where the kernel lets a sandbox have its own limit."""
LARGEST = 32 << 30
"""Bytes of a file that a build step may write: holes take no disk, but are packed."""

_program: Callable[[Any], None] | None = None
_libc = ctypes.CDLL(None, use_errno=True)


def call(name: str, *args: object) -> None:
    """One system call through libc; its errno as an OSError that names it."""
    if getattr(_libc, name)(*args) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def mount(source: str, target: str, fstype: str = "", flags: int = 0, data: str = "") -> None:
    try:
        call("mount", source.encode(), target.encode(), fstype.encode() or None, flags, data.encode() or None)
    except OSError as error:
        raise OSError(error.errno, f"mount {fstype or source} on {target}: {os.strerror(error.errno or 0)}") from None


def main() -> None:
    spec_fd, status_fd = int(sys.argv[1]), int(sys.argv[2])
    with os.fdopen(spec_fd, "rb") as stream:
        spec: dict[str, Any] = json.loads(stream.read())
    os.set_inheritable(status_fd, False)
    if spec["program"]:
        global _program
        sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        _program = importlib.import_module(spec["program"]).main
    try:
        before(spec)
        if spec["join"]:
            join_namespaces(spec)
        else:
            enter_namespaces(spec)
        init = os.fork()
        if init == 0:
            if spec["join"]:
                beside(spec, status_fd)
            inside(spec, status_fd)
        os.write(status_fd, json.dumps({"pid": init}).encode() + b"\n")
        os.close(status_fd)
        forward_until_exit(init)
    except OSError as error:
        fail(status_fd, error)


def before(spec: dict[str, Any]) -> None:
    """What has to be done while this process still is one of the host's."""
    number = {"x86_64": 250, "aarch64": 219}[os.uname().machine]
    _libc.syscall(number, 1, None)  # keyctl(2): a session of one's own; a kernel without keys has none to hide.
    if spec["enter"] and not spec["as_init"]:
        with open("/proc/self/oom_score_adj", "w") as stream:
            stream.write("1000")  # When memory runs out, a build step is ended before anything of the host's.


def fail(status_fd: int, error: OSError) -> NoReturn:
    os.write(status_fd, json.dumps({"error": error.strerror or str(error), "errno": error.errno}).encode() + b"\n")
    os._exit(125)


def enter_namespaces(spec: dict[str, Any]) -> None:
    """New namespaces, with ids mapped onto themselves: root in there is nobody special out here."""
    flags = NEWNS | NEWUTS | NEWIPC | NEWPID | NEWCGROUP | (0 if spec["network"] else NEWNET)
    if spec["user_namespace"]:
        # Only a process outside of the new namespace may write more than one id into its maps.
        ready_r, ready_w = os.pipe()
        me = os.getpid()
        maps = {name: identity_map(f"/proc/self/{name}", spec["ids"]) for name in ("uid_map", "gid_map")}
        helper = os.fork()
        if helper == 0:
            os.close(ready_w)
            os.read(ready_r, 1)
            code = 0
            try:
                for name in ("uid_map", "gid_map"):
                    with open(f"/proc/{me}/{name}", "w") as stream:
                        stream.write(maps[name])
            except OSError:
                code = 1
            os._exit(code)
        try:
            call("unshare", flags | NEWUSER)
        finally:
            os.write(ready_w, b"x")
        if os.waitpid(helper, 0)[1] != 0:
            raise OSError(1, "write the id maps: not permitted")
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
    else:
        call("unshare", flags)
    call("prctl", DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)  # After the ids: changing them clears it.
    if os.getppid() != spec["parent"]:
        os._exit(125)


def join_namespaces(spec: dict[str, Any]) -> None:
    """Those of a process that is there; the user namespace first, in which the right to join the others is."""
    names = ("user", "mnt", "uts", "ipc", "net", "cgroup", "pid")
    flags = zip(names, (NEWUSER, NEWNS, NEWUTS, NEWIPC, NEWNET, NEWCGROUP, NEWPID), strict=True)
    opened = [(os.open(f"/proc/{spec['join']}/ns/{name}", os.O_RDONLY), flag) for name, flag in flags]
    for descriptor, flag in opened:
        call("setns", descriptor, flag)
        os.close(descriptor)
    os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    call("prctl", DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)  # After the ids: changing them clears it.


def identity_map(path: str, ids: int) -> str:
    """Ids below `ids`, each mapped onto itself, in the extents that this process has: none may span two of them."""
    lines = []
    with open(path) as stream:
        for line in stream:
            start, _, count = map(int, line.split())
            if start < ids:
                lines.append(f"{start} {start} {min(count, ids - start)}\n")
    return "".join(lines)


def inside(spec: dict[str, Any], status_fd: int) -> NoReturn:
    """Process 1 of the sandbox."""
    try:
        call("prctl", DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
        os.umask(0o022)
        mount("none", "/", flags=REC | PRIVATE)
        if not spec["network"]:
            loopback_up()
        socket.sethostname(spec["hostname"])
        root = make_root(spec)
        if spec["enter"]:
            pivot(root)
        os.chdir(spec["cwd"])
        if spec["as_init"]:
            become(spec, status_fd)
        command = os.fork()
        if command == 0:
            become(spec, status_fd)
    except Exception as error:
        fail(status_fd, error if isinstance(error, OSError) else OSError(0, f"{type(error).__name__}: {error}"))
    os.close(status_fd)
    reap_until_exit(command)


def beside(spec: dict[str, Any], status_fd: int) -> NoReturn:
    """Another process of a sandbox that was made before."""
    try:
        os.chdir(spec["cwd"])
        become(spec, status_fd)
    except OSError as error:
        fail(status_fd, error)


def make_root(spec: dict[str, Any]) -> str:
    root: str = spec["root"]
    if spec["lowers"]:
        # The kernel takes one page of options; short names relative to a folder of links leave room for 500 layers.
        os.chdir(spec["lowers_folder"])
        data = "lowerdir=" + ":".join(spec["lowers"]) + ",userxattr"
        if spec["upper"]:
            data += f",upperdir={spec['upper']},workdir={spec['work']}" + (",volatile" if spec["volatile"] else "")
        mount("overlay", root, "overlay", 0, data)
        if spec["upper"]:
            os.chmod(root, 0o755)  # Whatever umask made the upper folder, other users must get in.
    elif spec["enter"]:
        mount(root, root, flags=BIND)
    if spec["enter"]:
        devices(root)
        mount_at(root, "proc", "proc", "proc", NOSUID | NODEV | NOEXEC)
        limit(root)
        guard_proc(root)
    for path, options in spec["tmpfs"]:
        mount_at(root, path, "tmpfs", "tmpfs", NOSUID | NODEV, options)
    for source, path, readonly in spec["binds"]:
        bind(root, source, path, readonly)
    return root


def mount_at(root: str, path: str, source: str, fstype: str, flags: int, data: str = "") -> None:
    target = inside_path(root, path)
    os.makedirs(target, exist_ok=True)
    mount(source, target, fstype, flags, data)


def inside_path(root: str, path: str) -> str:
    """A mount point below the root; a link on the way (an image's own) must not lead out of it."""
    target = root
    for part in path.strip("/").split("/"):
        target = os.path.join(target, part)
        if os.path.islink(target):
            raise OSError(40, f"mount point /{path.strip('/')} leads through a link in the image")
    return target


def bind(root: str, source: str, path: str, readonly: bool) -> None:
    target = inside_path(root, path)
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    elif not os.path.lexists(target):
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "w"):
            pass
    mount(source, target, flags=BIND | REC)
    if readonly:
        mount("none", target, flags=BIND | REMOUNT | RDONLY | NOSUID | NODEV)


def devices(root: str) -> None:
    mount_at(root, "dev", "tmpfs", "tmpfs", NOSUID, "mode=0755,size=64m")
    for name in DEVICES:
        # Read-only, which writing to a device is not affected by: else the host's own node could be given another
        # owner or mode, as ids are mapped onto themselves.
        bind(root, f"/dev/{name}", f"dev/{name}", False)
        mount("none", f"{root}/dev/{name}", flags=BIND | REMOUNT | RDONLY | NOSUID | NOEXEC)
    for name, target in (("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
        os.symlink(f"/proc/self/{target}" if name != "fd" else target, f"{root}/dev/{name}")
    mount_at(root, "dev/shm", "tmpfs", "tmpfs", NOSUID | NODEV, "mode=1777")
    mount_at(root, "dev/pts", "devpts", "devpts", NOSUID | NOEXEC, "newinstance,ptmxmode=0666,mode=0620")
    os.symlink("pts/ptmx", f"{root}/dev/ptmx")


def limit(root: str) -> None:
    """What the new namespaces may have, told to the kernel by settings that are theirs and not the host's."""
    with open(f"{root}/proc/sys/user/max_user_namespaces", "w") as stream:
        stream.write("0")  # In another one, whoever made it would hold every capability again.
    release = re.match(r"(\d+)\.(\d+)", os.uname().release)
    if release and (int(release[1]), int(release[2])) >= (6, 14):  # Before that, it was the whole machine's.
        with open(f"{root}/proc/sys/kernel/pid_max", "w") as stream:
            stream.write(str(PROCESSES))


def guard_proc(root: str) -> None:
    """Make read-only what is no process: the kernel lets the host's uid 0 write it, with capabilities or without."""
    links = ("self", "thread-self", "net", "mounts")
    for name in sorted(os.listdir(f"{root}/proc")):
        if name.isdigit() or name in links:
            continue
        path = f"{root}/proc/{name}"
        mount(f"{root}/dev/null" if name in MASKED else path, path, flags=BIND | REC)
        mount("none", path, flags=BIND | REMOUNT | RDONLY | NOSUID | NODEV * (name not in MASKED) | NOEXEC)


def pivot(root: str) -> None:
    os.chdir(root)
    number = {"x86_64": 155, "aarch64": 41}[os.uname().machine]
    if _libc.syscall(number, b".", b".") != 0:
        raise OSError(ctypes.get_errno(), f"pivot_root: {os.strerror(ctypes.get_errno())}")
    call("umount2", b".", DETACH)
    os.chdir("/")


def loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        request = struct.pack("16sH14x", b"lo", 1 | 64)
        fcntl.ioctl(probe, 0x8914, request)


def become(spec: dict[str, Any], status_fd: int) -> NoReturn:
    """Drop to the wanted user and execute the command, or call the program that was loaded before the pivot."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    os.umask(spec["umask"])
    if not spec["as_init"]:
        # Programs that seed a hash table with an address (Lua, hence LuaTeX's formats) write the same bytes twice.
        _libc.personality(ADDR_NO_RANDOMIZE)
    if spec["enter"]:
        drop_capabilities()
        limit_process(spec["as_init"])
        refuse_calls(bytes.fromhex(spec["filter"]))  # While we may: what gets root by setuid still can, in here.
    os.setgroups(spec["groups"])
    os.setresgid(spec["gid"], spec["gid"], spec["gid"])
    os.setresuid(spec["uid"], spec["uid"], spec["uid"])
    if spec["as_init"]:
        call("prctl", DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)  # Again, as changing the ids cleared it.
    if spec["no_new_privs"]:
        call("prctl", NO_NEW_PRIVS, 1, 0, 0, 0)
    if _program is not None:
        os.close(status_fd)  # An exec closes it by itself; the host reads it to its end before it goes on.
        call_program(spec)
    try:
        os.execvpe(spec["argv"][0], spec["argv"], spec["env"])
    except OSError as error:
        sys.stderr.write(f"stackbuild: cannot execute {spec['argv'][0]}: {error.strerror}\n")
        os._exit(127 if error.errno == 2 else 126)


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


def refuse_calls(rows: bytes) -> None:
    """Have the kernel refuse system calls to this process and all that come of it (`seccomp.py`)."""
    buffer = ctypes.create_string_buffer(rows, len(rows))
    order = struct.pack("@HP", len(rows) // 8, ctypes.addressof(buffer))
    call("prctl", SECCOMP, 2, ctypes.c_char_p(order), 0, 0)


def call_program(spec: dict[str, Any]) -> NoReturn:
    """Our own code inside of the root: it resolves foreign paths there, where no link can lead out to the host."""
    os.environ.clear()
    os.environ.update(spec["env"])
    code = 1
    try:
        _program(json.loads(spec["argv"][0]))  # type: ignore[misc]
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        if isinstance(stop.code, str):
            print(stop.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def reap_until_exit(command: int) -> NoReturn:
    """Process 1 adopts orphans; it ends with its command, and the kernel ends the rest."""
    while True:
        pid, status = os.wait()
        if pid == command:
            os._exit(os.waitstatus_to_exitcode(status) % 256 if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))


def forward_until_exit(init: int) -> NoReturn:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: os.kill(init, number))
    while True:
        try:
            _, status = os.waitpid(init, 0)
            break
        except InterruptedError:
            continue
    os._exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))


if __name__ == "__main__":
    main()
