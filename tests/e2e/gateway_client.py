"""A notebook's side of a Jupyter server or gateway: kernels over HTTP, cells over a websocket (RFC 6455)."""

from __future__ import annotations

import base64
import http.client
import json
import os
import secrets
import socket
import struct
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10


@dataclass(frozen=True)
class Server:
    """A server on the network; `token` is sent with each request."""

    host: str
    port: int = 8888
    token: str = ""

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"token {self.token}"} if self.token else {}

    def ask(self, method: str, path: str, body: object = None, *, seconds: float = 180) -> tuple[int, Any]:
        """Status and JSON of one request.

        Raises:
            OSError: nobody listens there.
        """
        connection = http.client.HTTPConnection(self.host, self.port, timeout=seconds)
        try:
            data = json.dumps(body).encode() if body is not None else None
            connection.request(method, path, data, {**self.headers, "Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read()
            return answer.status, json.loads(text) if text else None
        finally:
            connection.close()

    def wait(self, seconds: float = 120) -> float:
        """Wait for the first answer; the seconds that it took."""
        began = time.monotonic()
        while time.monotonic() < began + seconds:
            try:
                if self.ask("GET", "/api", seconds=5)[0] == 200:
                    return time.monotonic() - began
            except (OSError, http.client.HTTPException, ValueError):
                pass
            time.sleep(0.1)
        raise AssertionError(f"{self.host}:{self.port} did not answer within {seconds:.0f} s")

    def start(self, spec: str, **env: str) -> str:
        """Start a kernel; its id."""
        status, found = self.ask("POST", "/api/kernels", {"name": spec, "env": {"KERNEL_USERNAME": "alice", **env}})
        assert status == 201, found
        return str(found["id"])

    def kernels(self) -> list[str]:
        status, found = self.ask("GET", "/api/kernels")
        assert status == 200, found
        return [str(one["id"]) for one in found]

    @contextmanager
    def channels(self, kernel: str) -> Iterator[Channels]:
        """The kernel's messages."""
        with socket.create_connection((self.host, self.port), timeout=120) as connection:
            yield Channels(connection, self, kernel)


class Channels:
    """A kernel as a notebook has it: it sends cells and hears what comes of them."""

    def __init__(self, connection: socket.socket, server: Server, kernel: str) -> None:
        self._connection = connection
        self._read = connection.makefile("rb")
        self._session = uuid.uuid4().hex
        lines = [
            f"GET /api/kernels/{kernel}/channels?session_id={self._session} HTTP/1.1",
            f"Host: {server.host}:{server.port}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
            "Sec-WebSocket-Version: 13",
            *(f"{name}: {value}" for name, value in server.headers.items()),
        ]
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = self._read.read(1)
            assert byte, head
            head += byte
        assert b" 101 " in head.split(b"\r\n", 1)[0], head

    def run(self, code: str, *, seconds: float = 120) -> str:
        """Run a cell to its end; what it printed, its value or its error's name last."""
        return self.ended(self.send(code), seconds=seconds)

    def send(self, code: str) -> str:
        """Send a cell, and wait for nothing; the id of the request."""
        message = uuid.uuid4().hex
        header = {
            "msg_id": message,
            "msg_type": "execute_request",
            "username": "alice",
            "session": self._session,
            "date": "",
            "version": "5.3",
        }
        content = {
            "code": code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": True,
        }
        body: dict[str, object] = {"header": header, "parent_header": {}, "metadata": {}, "content": content}
        self._frame(_TEXT, json.dumps({**body, "channel": "shell", "buffers": []}).encode())
        return message

    def begun(self, message: str, *, seconds: float = 60) -> None:
        """Wait until the kernel is busy with a cell, and has said something."""
        for kind, _ in self._about(message, seconds):
            if kind == "stream":
                return
        raise AssertionError("the cell said nothing")

    def ended(self, message: str, *, seconds: float = 120) -> str:
        """Wait for the end of a cell; what it printed, its value or its error's name last."""
        said, replied, idle = "", False, False
        for kind, content in self._about(message, seconds):
            if kind == "stream":
                said += content["text"]
            elif kind in {"execute_result", "display_data"}:
                said += content["data"].get("text/plain", "")
            elif kind == "error":
                said += f"{content['ename']}: {content['evalue']}"
            replied |= kind == "execute_reply"
            idle |= kind == "status" and content["execution_state"] == "idle"
            if replied and idle:
                return said
        raise AssertionError(f"the cell did not end within {seconds:.0f} s: {said}")

    def _about(self, message: str, seconds: float) -> Iterator[tuple[str, Any]]:
        """Type and content of each message that answers a request."""
        ends = time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0:
            self._connection.settimeout(left)
            try:
                found = json.loads(self._message())
            except TimeoutError:
                return
            if found["parent_header"].get("msg_id") == message:
                yield str(found["header"]["msg_type"]), found["content"]

    def _message(self) -> bytes:
        """The next text message, whole; pings are answered on the way."""
        found = b""
        while True:
            first, length = self._take(2)
            assert not length & 0x80, "a server masks nothing"
            if length == 126:
                (length,) = struct.unpack(">H", self._take(2))
            elif length == 127:
                (length,) = struct.unpack(">Q", self._take(8))
            data, kind = self._take(length), first & 0x0F
            assert kind != _CLOSE, f"the server closed the connection: {data!r}"
            if kind == _PING:
                self._frame(_PONG, data)
            elif kind != _PONG:
                found += data
                if first & 0x80:
                    return found

    def _take(self, count: int) -> bytes:
        found = self._read.read(count)
        assert len(found) == count, "the server hung up"
        return found

    def _frame(self, kind: int, data: bytes) -> None:
        mask = secrets.token_bytes(4)
        size = len(data)
        length = bytes([0x80 | size]) if size < 126 else bytes([0x80 | 126]) + struct.pack(">H", size)
        assert size < 1 << 16
        masked = bytes(byte ^ mask[number % 4] for number, byte in enumerate(data))
        self._connection.sendall(bytes([0x80 | kind]) + length + mask + masked)
