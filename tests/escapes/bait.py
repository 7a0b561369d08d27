"""What there is to be stolen, on the host: files, sockets, a process, keys and tokens, as long as the block lasts."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from tests.escapes.kernel import Bait, call

SECRET = "escape-secret-5b1f"
TOKEN = "escape-token-c90d"
WORD = "86421"
VARIABLES = (
    "STACKBUILD_CACHE_KEY", "STACKBUILD_CREDENTIAL_INDEX", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN",
    "DOCKER_AUTH_CONFIG", "NPM_TOKEN", "SSH_AUTH_SOCK",
)  # fmt: skip
"""Environment variables that hold the token meanwhile."""


@contextmanager
def laid(folder: Path) -> Iterator[Bait]:
    """Lay the bait below a folder, which needs to be empty."""
    with ExitStack() as stack:
        (folder / "home").mkdir(parents=True)
        (folder / "source").mkdir()
        for name in ("secret", "home/.netrc", "source/" + "ab" * 32):
            (folder / name).write_text(SECRET)
        sleeping = ("sh", "-c", f"sleep {WORD}; :", SECRET)
        environ = {**os.environ, "TOKEN": TOKEN}
        process = stack.enter_context(subprocess.Popen(sleeping, env=environ, start_new_session=True))
        stack.callback(os.killpg, process.pid, signal.SIGKILL)
        bait: Bait = {
            "secret": SECRET, "token": TOKEN, "word": WORD, "pid": process.pid, "key": "escape-key",
            "file": str(folder / "secret"), "home": str(folder / "home"), "left_out": [],
            "source": str(folder / "source" / ("ab" * 32)),
            "lent": [str(folder / "secret")], "beside": str(folder),
            "handle": _handle(folder / "secret"), "disk": _disk(folder), "disk_name": _disk_name(),
            "key_number": _key(), "shm": _shared(stack), "address": _address(), "name_server": "127.0.0.1",
        }  # fmt: skip
        path = folder / "docker.sock"
        bait |= {"socket": str(path), "abstract": f"escape-{os.getpid()}"}
        bait["tcp"] = _listener(stack, socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0))
        bait["udp"] = _listener(stack, socket.AF_INET, socket.SOCK_DGRAM, ("0.0.0.0", 0))
        with suppress(OSError):
            bait["tcp6"] = _listener(stack, socket.AF_INET6, socket.SOCK_STREAM, ("::1", 0))
        _listener(stack, socket.AF_UNIX, socket.SOCK_STREAM, "\0" + bait["abstract"])
        _listener(stack, socket.AF_UNIX, socket.SOCK_STREAM, str(path))
        yield bait


def write(bait: Bait, path: Path) -> Path:
    path.write_text(json.dumps(bait))
    return path


def _listener(stack: ExitStack, family: int, kind: int, address: tuple[str, int] | str) -> int:
    """Somebody who tells the secret to all who ask; returns the port."""
    server = stack.enter_context(socket.socket(family, kind))
    server.bind(address)
    if kind == socket.SOCK_STREAM:
        server.listen()
    threading.Thread(target=_serve, args=(server, kind), daemon=True).start()
    stack.callback(_stop, server)
    found = server.getsockname()
    return int(found[1]) if isinstance(found, tuple) else 0


def _stop(server: socket.socket) -> None:
    with suppress(OSError):
        server.shutdown(socket.SHUT_RDWR)


def _serve(server: socket.socket, kind: int) -> None:
    with suppress(OSError):
        while True:
            if kind == socket.SOCK_STREAM:
                client, _ = server.accept()
                with client, suppress(OSError):
                    client.recv(100)
                    client.sendall(SECRET.encode())
            else:
                data, sender = server.recvfrom(100)
                if not data:
                    return
                server.sendto(SECRET.encode(), sender)


def _handle(path: Path) -> str:
    """The file's struct file_handle (open_by_handle_at(2)), in hexadecimal digits."""
    room = (ctypes.c_uint32 * 34)(128)
    mount = ctypes.c_int()
    try:
        call("name_to_handle_at", -100, ctypes.c_char_p(os.fsencode(path)), ctypes.byref(room), ctypes.byref(mount), 0)
    except OSError:
        return ""
    return bytes(room)[: 8 + room[0]].hex()


def _disk(folder: Path) -> list[int]:
    """Major and minor number of a disk: the one that the folder lies on, or else any."""
    number = folder.stat().st_dev
    if os.major(number):
        return [os.major(number), os.minor(number)]
    rows = [line.split() for line in Path("/proc/partitions").read_text().splitlines()[2:]]
    return [int(word) for word in rows[0][:2]] if rows else [8, 0]


def _disk_name() -> str:
    rows = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    return next((row[0] for row in rows if row[1] == "/" and row[0].startswith("/dev/")), "/dev/vda")


def _key() -> int:
    """A key in a keyring of this session, which is a new one."""
    try:
        call("keyctl", 1, 0)
        return call("add_key", b"user", b"escape-key", SECRET.encode(), len(SECRET), -3)
    except OSError:
        return 0


def _shared(stack: ExitStack) -> int:
    number = 0x5B1F0000 | os.getpid() & 0xFFFF
    with suppress(OSError):
        stack.callback(call, "shmctl", call("shmget", number, 4096, 0o1666), 0, 0)
    return number


def _address() -> str:
    """The host's own address, of whatever interface leads away."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 53))
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.2"
