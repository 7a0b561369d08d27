"""Start a built image natively: its layers composed with overlayfs, in namespaces, as a container engine would.

There is no engine and no route out of the container. The host reaches its ports through a thread that joins the
container's network namespace for as long as it takes to connect (setns(2) is per thread).
"""

from __future__ import annotations

import ctypes
import http.client
import json
import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from builder import unpacked
from builder.digest import Digest
from builder.errors import StackbuildError
from builder.sandbox import Command, Root, Running, started
from builder.store import Store

_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Who a container's first process is."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """How a container is started.

    Attributes:
        user: None for the image's own.
        env: added to the image's.
        volumes: (folder on the host, path in the container).
        argv: None for the image's entry point and command.
        network: share the host's network.
    """

    user: User | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    volumes: tuple[tuple[Path, str], ...] = ()
    argv: tuple[str, ...] | None = None
    network: bool = False
    no_new_privs: bool = True


class Image:
    """A built image in the store, by its result: `config` and `layers`."""

    def __init__(self, store: Store, result: Mapping[str, Any]) -> None:
        self.store = store
        self.layers: Sequence[Mapping[str, Any]] = result["layers"]
        config = json.loads(store.checked(store.blob(Digest(result["config"]))).read_bytes())
        self.config: Mapping[str, Any] = config.get("config", {})

    def env(self) -> dict[str, str]:
        """Its variables; HOME as an engine sets it where the image does not."""
        found = dict(one.partition("=")[::2] for one in self.config.get("Env", ()))
        if "HOME" not in found:
            row = self._account(str(self.config.get("User", "")).partition(":")[0] or "0")
            found["HOME"] = row[5] if row else "/"
        return found

    def folders(self) -> tuple[Path, ...]:
        """The unpacked layers, lowest first."""
        return unpacked.layers(self.store, self.layers)

    def user(self) -> User:
        """The config's user as an engine resolves it: gid and groups from the image's own passwd and group."""
        name, _, group = str(self.config.get("User", "")).partition(":")
        name = name or "0"
        row = self._account(name)
        if row is None and not name.isdigit():
            raise StackbuildError(
                f"the image's user is not in its passwd: {name}", expected="a name in it, or a number"
            )
        rows = self._rows("etc/group", 4)
        uid, gid = (int(row[2]), int(row[3])) if row else (int(name), 0)
        if group:
            numbers = [int(one[2]) for one in rows if group in {one[0], one[2]}] or [int(group)]
            return User(uid=uid, gid=numbers[0])
        groups = [int(one[2]) for one in rows if row and row[0] in one[3].split(",")]
        return User(uid=uid, gid=gid, groups=tuple(groups))

    def _account(self, name: str) -> list[str] | None:
        """The line of passwd(5) that a name or a number means."""
        return next((row for row in self._rows("etc/passwd", 7) if name in {row[0], row[2]}), None)

    def _rows(self, path: str, fields: int) -> list[list[str]]:
        """The lines of a file whose fields are parted by colons and whose third is a number."""
        for folder in reversed(self.folders()):
            text = _text(folder, path)
            if text is not None:
                rows = [line.split(":") for line in text.splitlines()]
                return [row for row in rows if len(row) == fields and row[2].isdigit()]
        return []


def _text(folder: Path, path: str) -> str | None:
    """A file of an unpacked layer; None where it has none, or one that a link leads to: out of the layer, perhaps."""
    place = folder
    for part in path.split("/"):
        place = place / part
        if place.is_symlink():
            return None
    return place.read_text("utf-8", "replace") if place.is_file() else None


class Container:
    """A running container."""

    def __init__(self, running: Running, log: Path) -> None:
        self._running = running
        self.log = log

    @property
    def pid(self) -> int:
        """Process 1 of the container, as the host sees it."""
        return self._running.pid

    def connect(self, port: int) -> socket.socket:
        """A connection to a port on the container's loopback.

        Raises:
            OSError: nobody listens there.
        """
        answer: list[socket.socket | OSError] = []

        def inside() -> None:
            try:
                with open(f"/proc/{self.pid}/ns/net") as namespace:
                    if _libc.setns(namespace.fileno(), _NEWNET) != 0:
                        raise OSError(ctypes.get_errno(), "setns")
                answer.append(socket.create_connection(("127.0.0.1", port), timeout=10))
            except OSError as error:
                answer.append(error)

        thread = threading.Thread(target=inside)
        thread.start()
        thread.join()
        found = answer[0]
        if isinstance(found, OSError):
            raise found
        return found

    def ask(
        self, port: int, path: str, *, method: str = "GET", headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> tuple[int, Mapping[str, str], bytes]:
        """One HTTP request: status, headers by lower-case name, body.

        Raises:
            OSError: nobody listens there.
        """
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.sock = self.connect(port)
        try:
            connection.request(method, path, body=body or None, headers=dict(headers or {}))
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def wait_for(self, port: int, path: str, seconds: float) -> float:
        """Wait until a request gets 200; returns the seconds it took.

        Raises:
            StackbuildError: it did not in time, or the container ended.
        """
        began = time.monotonic()
        said = "nobody listened"
        while time.monotonic() - began < seconds:
            try:
                status, _, _ = self.ask(port, path)
                if status == 200:
                    return time.monotonic() - began
                said = f"HTTP {status}"
            except (OSError, http.client.HTTPException):
                pass
            if (code := self._running.process.poll()) is not None:
                raise self._failed(f"the container ended with exit code {code}", path)
            time.sleep(0.01)
        raise self._failed(f"{said} after {seconds:.0f} s", path)

    def _failed(self, got: str, path: str) -> StackbuildError:
        return StackbuildError(
            f"no HTTP 200 from {path}", got=f"{got}\n{self.said(15)}".strip(), expected="a server that answers"
        )

    def processes(self, word: str) -> list[int]:
        """The container's processes whose command line holds a word, as the host numbers them."""
        own = os.stat(f"/proc/{self.pid}/ns/pid").st_ino
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    if (entry / "ns/pid").stat().st_ino == own and word.encode() in (entry / "cmdline").read_bytes():
                        found.append(int(entry.name))
                except OSError:
                    continue
        return sorted(found)

    def stop(self, seconds: float = 15) -> int:
        """TERM as an engine would, then wait; returns the exit code."""
        self._running.process.send_signal(signal.SIGTERM)
        return self._running.process.wait(seconds)

    def wait(self, seconds: float | None = None) -> int:
        """Wait until it ends; returns the exit code.

        Args:
            seconds: at most; None for as long as it takes.

        Raises:
            StackbuildError: it did not end in time.
        """
        if seconds is None:
            return self._running.process.wait()
        ends = time.monotonic() + seconds
        while (code := self._running.process.poll()) is None:
            if time.monotonic() > ends:
                raise StackbuildError(f"the container did not end within {seconds:.0f} s", got=self.said(15))
            time.sleep(0.01)
        return code

    def said(self, lines: int) -> str:
        """The last lines of its output."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


@contextmanager
def container(image: Image, start: Start, *, quiet: bool = True) -> Iterator[Container]:
    """Start an image; at the end of the block it is killed, and what it wrote is gone, volumes excepted.

    Once it runs, it needs nothing of the store but the unpacked layers, which it holds.

    Args:
        quiet: its output goes to the container's log only; otherwise to ours, and input is ours too.
    """
    user = start.user or image.user()
    argv = start.argv
    if argv is None:
        argv = (*image.config.get("Entrypoint", ()), *image.config.get("Cmd", ()))
    if not argv:
        raise StackbuildError("the image has no entry point", next_step="give a command")
    folders = image.folders()
    with unpacked.held(folders), image.store.workspace() as workspace:
        (workspace / "mount").mkdir()
        command = Command(
            argv=tuple(argv),
            env={**image.env(), **start.env},
            cwd=str(image.config.get("WorkingDir", "/")),
            uid=user.uid,
            gid=user.gid,
            groups=user.groups,
            hostname="notebook",
            network=start.network,
            as_init=True,
            no_new_privs=start.no_new_privs,
            tmpfs=(),
            binds=tuple((str(host), path, False) for host, path in start.volumes),
        )
        log = workspace / "log"
        root = Root(workspace=workspace / "mount", lowers=tuple(reversed(folders)))
        if quiet:
            with log.open("ab") as output, started(root, command, stdout=output, stderr=output) as running:
                yield Container(running, log)
        else:
            log.touch()
            with started(root, command, stdin=None) as running:
                yield Container(running, log)


@contextmanager
def volume(store: Store, user: User, *, mode: int = 0o2775) -> Iterator[Path]:
    """An empty folder, as a fresh volume mounted for that user's group would be."""
    with store.workspace() as workspace:
        folder = workspace / "volume"
        folder.mkdir()
        os.chown(folder, user.uid, user.gid)
        folder.chmod(mode)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def forward(running: Container, listener: socket.socket, port: int) -> None:
    """Carry every connection of a listening socket to a port of the container, until the socket is closed."""

    def pump(source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(1 << 16):
                target.sendall(data)
        except OSError:
            pass
        finally:
            for one in (source, target):
                try:
                    one.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue

    while True:
        try:
            outer, _ = listener.accept()
        except OSError:
            return
        try:
            inner = running.connect(port)
        except OSError:
            outer.close()
            continue
        inner.settimeout(None)
        for pair in ((outer, inner), (inner, outer)):
            threading.Thread(target=pump, args=pair, daemon=True).start()
