"""A client of one kernel: cells are sent, and what they print, show and answer is gathered.

Source: "Messaging in Jupyter", protocol 5.3: the wire protocol; `execute`, `kernel_info`, `shutdown`, `status`.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from socket import socket
from typing import Any

from builder.checks import Broken
from builder.checks._zmtp import Socket

_DELIMITER = b"<IDS|MSG>"
_LATE = 5.0
"""Seconds for a result that comes after its cell is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of a cell.

    Attributes:
        status: of its `execute_reply`: `ok`, `error`, `aborted` (of R's kernel: `abort`).
        text: everything that it printed and showed as plain text, and the name of its error.
    """

    status: str
    text: str


class Client:
    """Sends requests to a kernel by its connection file. Every wait is over at a time by `time.monotonic()`."""

    def __init__(self, connect: Callable[[int], socket], connection: Mapping[str, Any]) -> None:
        self._connect = connect
        self._info = connection
        self._key = str(connection["key"]).encode()
        self._session = uuid.uuid4().hex
        self._open: dict[str, Socket] = {}

    def ready(self, ends: float) -> None:
        """Wait until the kernel answers, and until what it publishes arrives.

        Raises:
            Broken: it does not in time.
        """
        while True:
            try:
                asked = self._send("shell", "kernel_info_request", {}, ends)
                self._reply("shell", asked, ends)
                self._published(asked, min(ends, time.monotonic() + 2))  # The first may be lost: see "slow joiner".
                return
            except OSError as error:
                if time.monotonic() > ends:
                    raise Broken(f"the kernel does not answer: {error}") from None
                if isinstance(error, ConnectionError):
                    self.close()
                    time.sleep(0.05)

    def execute(self, code: str, seconds: float, meanwhile: Callable[[], None] | None = None) -> Answer:
        """Run a cell. `meanwhile` is called once it has printed something.

        Raises:
            Broken: it did not end in time.
        """
        content = {
            "code": code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": False,
        }
        ends = time.monotonic() + seconds
        try:
            asked = self._send("shell", "execute_request", content, ends)
            if meanwhile is not None:
                self._published(asked, ends, until="stream")
                meanwhile()
            status = str(self._reply("shell", asked, ends).get("status"))
            text = self._published(asked, ends)
            if status == "ok" and not text:
                with suppress(TimeoutError):  # Toree may say that it is idle before it shows a result.
                    text = self._published(asked, min(ends, time.monotonic() + _LATE), until="execute_result")
            return Answer(status=status, text=text)
        except OSError as error:
            raise Broken(f"no answer to a cell within {seconds:.0f} s: {error}") from None

    def shut_down(self, seconds: float) -> None:
        """Ask the kernel to end, as a gateway does when its notebook is closed.

        Raises:
            Broken: it does not take the request.
        """
        ends = time.monotonic() + seconds
        try:
            asked = self._send("control", "shutdown_request", {"restart": False}, ends)
            with suppress(ConnectionError):  # It may be gone before it has answered.
                self._reply("control", asked, ends)
        except OSError as error:
            raise Broken(f"no answer to a request to shut down: {error}") from None

    def close(self) -> None:
        for one in self._open.values():
            one.close()
        self._open.clear()

    def _channel(self, name: str, ends: float) -> Socket:
        if name not in self._open:
            connection = self._connect(int(self._info[f"{name}_port"]))
            self._open[name] = Socket(connection, "SUB" if name == "iopub" else "DEALER", ends)
        return self._open[name]

    def _send(self, channel: str, kind: str, content: Mapping[str, Any], ends: float) -> str:
        self._channel("iopub", ends)
        header = {
            "msg_id": uuid.uuid4().hex,
            "session": self._session,
            "username": "gateway",
            "date": "2000-01-01T00:00:00Z",
            "msg_type": kind,
            "version": "5.3",
        }
        parts = [json.dumps(part).encode() for part in (header, {}, {}, content)]
        self._channel(channel, ends).send([_DELIMITER, self._signature(parts), *parts])
        return header["msg_id"]

    def _signature(self, parts: list[bytes]) -> bytes:
        return hmac.new(self._key, b"".join(parts), hashlib.sha256).hexdigest().encode() if self._key else b""

    def _messages(self, channel: str, asked: str, ends: float) -> Iterator[tuple[str, dict[str, Any]]]:
        """Type and content of each message that answers a request; Broken for one that is not signed by the kernel."""
        while True:
            frames = self._channel(channel, ends).receive(ends)
            if _DELIMITER not in frames:
                raise Broken(f"a message of the kernel on {channel} is none of Jupyter's")
            signature, *parts = frames[frames.index(_DELIMITER) + 1 :]
            if not hmac.compare_digest(signature, self._signature(parts[:4])):
                raise Broken(f"a message of the kernel on {channel} is not signed with its key")
            try:
                header, parent, _, content = (json.loads(part) for part in parts[:4])
                if parent and parent.get("msg_id") == asked:
                    yield str(header["msg_type"]), dict(content)
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
                raise Broken(f"a message of the kernel on {channel} is none of Jupyter's") from None

    def _reply(self, channel: str, asked: str, ends: float) -> dict[str, Any]:
        return next(content for kind, content in self._messages(channel, asked, ends) if kind.endswith("_reply"))

    def _published(self, asked: str, ends: float, until: str = "idle") -> str:
        """What a request lets the kernel publish, as text, until a message of that type, or a status of that name."""
        found: list[str] = []
        for kind, content in self._messages("iopub", asked, ends):
            if kind == "stream":
                found.append(str(content.get("text", "")))
            elif kind in ("execute_result", "display_data"):
                found.append(str(dict(content.get("data") or {}).get("text/plain", "")))
            elif kind == "error":
                found.append(f"{content.get('ename')}: {content.get('evalue')}")
            if until in (kind, content.get("execution_state")):
                break
        return "\n".join(found)


@contextmanager
def client(connect: Callable[[int], socket], connection: Mapping[str, Any]) -> Iterator[Client]:
    """A client of the kernel that wrote this connection file; `connect` opens a connection to a port of it."""
    found = Client(connect, connection)
    try:
        yield found
    finally:
        found.close()
