"""Runtimes: what starts a built image as a container. One file each, found by its name, with a function `ready`.

    with named("docker")(image) as container:                      # the image is where the runtime needs it
        with container(Start(env={"A": "1"})) as running:          # a container of its own, gone after the block
            running.wait_for(8888, "/api", 90)

A runtime says little of a container: `Engine`. Everything else is asked of the kernel, through the number that
process 1 has on this machine, so that it is the same for all of them and takes no tool of the image: requests come
from inside of the container's network namespace, files are read below /proc/PID/root. So containers run on this
machine, and whoever looks into them has the rights to (root, for Docker's).
"""

from __future__ import annotations

import http.client
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Protocol, TypeAlias, cast

from builder import limits, processes
from builder.built import Image, User
from builder.errors import HostileInput, StackbuildError
from builder.files import Files
from builder.processes import Process
from builder.removal import remove
from builder.store import Store

HOSTNAME = "notebook"
_OFTEN = 0.02
"""Seconds between two looks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """How a container is started.

    Attributes:
        user: None for the image's own.
        env: added to the image's.
        volumes: (folder on the host, path in the container).
        argv: None for the image's entry point and command; instead of both otherwise.
        network: share the host's network; else there is a loopback and nothing more.
        no_new_privs: whether nothing setuid may work.
    """

    user: User | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    volumes: tuple[tuple[Path, str], ...] = ()
    argv: tuple[str, ...] | None = None
    network: bool = False
    no_new_privs: bool = True


class Engine(Protocol):
    """All that a runtime has to know of one container of its own."""

    @property
    def pid(self) -> int:
        """Process 1 as this machine numbers it; 0 if it could not be executed."""

    def exit_code(self) -> int:
        """Wait until it has ended: 128 + n if signal n did it, 126 or 127 if nothing could be executed."""

    def signal(self, number: int) -> None:
        """Send a signal to process 1; nothing happens if it has ended."""

    def output(self) -> bytes:
        """What its processes have written so far, to both standard streams; of each, whole lines in their order."""

    def run(self, argv: tuple[str, ...], user: User | None, env: Mapping[str, str]) -> tuple[int, bytes]:
        """Run another program in it, in its environment, as a user (None for process 1's): exit code, output."""


class Container:
    """A running container, as contracts and commands see one, whatever runs it."""

    def __init__(self, engine: Engine, handle: int) -> None:
        self._engine = engine
        self._handle = handle

    @property
    def pid(self) -> int:
        """Process 1 of the container, as the host sees it; 0 once it has ended."""
        return 0 if self._ends(0) else self._engine.pid

    # Its network ------------------------------------------------------------------------------------------------

    def connect(self, port: int) -> socket.socket:
        """A connection to a port on the container's loopback.

        Raises:
            OSError: nobody listens there.
        """
        return processes.in_network_of(self.pid, lambda: socket.create_connection(("127.0.0.1", port), timeout=10))

    def listen(self, port: int = 0) -> socket.socket:
        """A listening socket on the container's loopback, for what the container is to call; 0 for any free port.

        Raises:
            OSError: somebody listens there.
        """
        return processes.in_network_of(self.pid, lambda: socket.create_server(("127.0.0.1", port)))

    def ask(
        self, port: int, path: str, *, method: str = "GET", headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> tuple[int, Mapping[str, str], bytes]:
        """One HTTP request: status, headers by lower-case name, body. A header that comes twice has two lines.

        Raises:
            OSError: nobody listens there.
            HostileInput: the body is too long.
        """
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.sock = self.connect(port)
        try:
            connection.request(method, path, body=body or None, headers=dict(headers or {}))
            answer = connection.getresponse()
            found: dict[str, str] = {}
            for name, value in answer.getheaders():
                found[name.lower()] = f"{found[name.lower()]}\n{value}" if name.lower() in found else value
            said = answer.read(limits.ANSWER + 1)
            if len(said) > limits.ANSWER:
                raise HostileInput(
                    "a container's answer is too long",
                    where=f"{method} {path} at port {port}",
                    expected=f"at most {limits.ANSWER:,} bytes",
                )
            if answer.length:  # `read` with a limit leaves it to us.
                raise http.client.IncompleteRead(said, answer.length)
            return answer.status, found, said
        finally:
            connection.close()

    def wait_for(self, port: int, path: str, seconds: float, wanted: int = 200) -> float:
        """Wait until a request gets 200, or another status that is wanted; returns the seconds it took.

        Raises:
            StackbuildError: it did not in time, or the container ended.
        """
        began = time.monotonic()
        said = "nobody listened"
        while time.monotonic() - began < seconds:
            try:
                status, _, _ = self.ask(port, path)
                if status == wanted:
                    return time.monotonic() - began
                said = f"HTTP {status}"
            except (OSError, http.client.HTTPException):
                pass
            if self._ends(_OFTEN / 2):
                raise self._failed(
                    f"the container ended with exit code {self._engine.exit_code()}", f"HTTP {wanted} from {path}"
                )
        raise self._failed(f"{said} after {seconds:.0f} s", f"HTTP {wanted} from {path}")

    def _failed(self, got: str, wanted: str) -> StackbuildError:
        return StackbuildError(f"no {wanted}", got=f"{got}\n{self.said(15)}".strip(), expected="a server that answers")

    # Its files and processes ------------------------------------------------------------------------------------

    @property
    def root(self) -> Path:
        """Its root as a folder of the host. Links in it are the image's own: read through `files` what may be one."""
        return Path(f"/proc/{self.pid}/root")

    @property
    def files(self) -> Files:
        """Its files, links followed as the container sees them."""
        return Files(self.root)

    def processes(self, word: str = "") -> tuple[Process, ...]:
        """The container's processes whose command line holds a word, oldest number first."""
        return tuple(one for one in processes.neighbours(self.pid) if word in "\0".join(one.argv))

    def run(self, *argv: str, user: User | None = None, env: Mapping[str, str] | None = None) -> tuple[int, str]:
        """Run another program in it, with the environment that it was started with: exit code, output.

        Args:
            user: None for the one that the container was started as.
            env: added to that environment.
        """
        code, said = self._engine.run(argv, user, env or {})
        return code, said.decode(errors="replace")

    # Its output and its end -------------------------------------------------------------------------------------

    def output(self) -> str:
        """What its processes have written so far, to both standard streams; of each, whole lines in their order."""
        return self._engine.output().decode(errors="replace")

    def said(self, lines: int) -> str:
        """The last lines of its output."""
        return "\n".join(self.output().splitlines()[-lines:])

    def signal(self, number: int) -> None:
        """Send a signal to process 1."""
        self._engine.signal(number)

    def stop(self, seconds: float = 15) -> int:
        """TERM, and after some seconds KILL, as an engine would; returns the exit code."""
        self.signal(signal.SIGTERM)
        if not self._ends(seconds):
            self.signal(signal.SIGKILL)
        return self._engine.exit_code()

    def wait(self, seconds: float | None = None) -> int:
        """Wait until it ends; returns the exit code.

        Args:
            seconds: at most; None for as long as it takes.

        Raises:
            StackbuildError: it did not end in time.
        """
        if not self._ends(seconds):
            raise StackbuildError(f"the container did not end within {seconds:.0f} s", got=self.said(15))
        return self._engine.exit_code()

    def _ends(self, seconds: float | None) -> bool:
        return processes.ends(self._handle, seconds)


@contextmanager
def watched(engine: Engine) -> Iterator[Container]:
    """A runtime's container, for the block."""
    with processes.handle(engine.pid) as handle:
        yield Container(engine, handle)


Starter: TypeAlias = Callable[[Start], AbstractContextManager[Container]]
"""Starts one image; at the end of the block the container is killed, and what it wrote is gone, volumes excepted."""
Ready: TypeAlias = Callable[[Image], AbstractContextManager[Starter]]
"""Brings an image to where a runtime needs it, for as long as the block lasts."""


def names() -> tuple[str, ...]:
    """The runtimes that there are."""
    return tuple(sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py")))


def named(name: str) -> Ready:
    """A runtime by its name.

    Raises:
        StackbuildError: there is none of that name.
    """
    if name not in names():
        raise StackbuildError(f"unknown runtime: {name}", expected=", ".join(names()))
    return cast(Ready, import_module(f"builder.runtimes.{name}").ready)


@contextmanager
def keeping_last(ready: Ready) -> Iterator[Ready]:
    """The same runtime, which lets an image go only once the next one is there: what both share is brought once."""
    kept = ExitStack()

    @contextmanager
    def bring(image: Image) -> Iterator[Starter]:
        nonlocal kept
        with ExitStack() as coming:
            starter = coming.enter_context(ready(image))
            kept.close()
            kept = coming.pop_all()
        yield starter

    try:
        yield bring
    finally:
        kept.close()


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
            remove(folder)
