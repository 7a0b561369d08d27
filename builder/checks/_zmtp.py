"""ZeroMQ's wire protocol as far as a client of a kernel needs it: one connection, without encryption.

A kernel's sockets are reached by a connection that was opened from inside of its container, which no ZeroMQ library
can be given. The part of the protocol that is left is small:

    greeting   64 bytes each way: signature, version 3.0, mechanism NULL
    handshake  a command READY each way, which tells the type of the socket
    traffic    messages of one or more frames: flags, size, bytes

Drawback: no curve, no heartbeats, one peer.

Source: ZMTP 3.0 (ZeroMQ RFC 23).
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Sequence

from builder.errors import HostileInput

_SIGNATURE = b"\xff" + bytes(8) + b"\x7f"
_GREETING = (_SIGNATURE + b"\x03\x00" + b"NULL").ljust(64, b"\0")
_MORE, _LONG, _COMMAND = 1, 2, 4
_LARGEST = 16 << 20
"""Bytes of a message."""
_FRAMES = 256


class Socket:
    """One side of a connection.

    Args:
        connection: a fresh one, which is closed with this.
        kind: `DEALER` or `SUB`; the latter gets everything that is published from now on.
        ends: until when, by `time.monotonic()`, the other side must have greeted.

    Raises:
        HostileInput: the other side speaks something else.
        OSError: it says nothing in time, or went away.
    """

    def __init__(self, connection: socket.socket, kind: str, ends: float) -> None:
        self._connection = connection
        self._kept = b""
        connection.sendall(_GREETING)
        greeting = self._exactly(64, ends)
        if greeting[:1] != _SIGNATURE[:1] or greeting[9:10] != _SIGNATURE[9:] or greeting[10] < 3:
            raise HostileInput("no ZeroMQ socket answers", got=repr(greeting[:12]))
        if greeting[12:32].rstrip(b"\0") != b"NULL":
            raise HostileInput("a ZeroMQ socket wants encryption", got=repr(greeting[12:32]))
        ready = b"\5READY" + b"".join(_property(name, text) for name, text in (("Socket-Type", kind), ("Identity", "")))
        self._frame(_COMMAND, ready)
        flags, body = self._next(ends)
        if not flags & _COMMAND or not body.startswith(b"\5READY"):
            raise HostileInput("a ZeroMQ socket refuses", got=repr(body[:200]))
        if kind == "SUB":
            self.send([b"\1"])

    def send(self, frames: Sequence[bytes]) -> None:
        """Send one message."""
        for number, frame in enumerate(frames, 1):
            self._frame(_MORE if number < len(frames) else 0, frame)

    def receive(self, ends: float) -> list[bytes]:
        """The frames of the next message.

        Raises:
            TimeoutError: none came until then.
            OSError: the other side went away.
            HostileInput: it is too large.
        """
        found: list[bytes] = []
        while True:
            flags, body = self._next(ends)
            if flags & _COMMAND:
                continue
            found.append(body)
            if len(found) > _FRAMES or sum(map(len, found)) > _LARGEST:
                raise HostileInput("a ZeroMQ message is too large", expected=f"at most {_LARGEST} bytes")
            if not flags & _MORE:
                return found

    def close(self) -> None:
        self._connection.close()

    def _frame(self, flags: int, body: bytes) -> None:
        long = len(body) > 255
        size = struct.pack(">Q", len(body)) if long else bytes([len(body)])
        self._connection.sendall(bytes([flags | (_LONG if long else 0)]) + size + body)

    def _next(self, ends: float) -> tuple[int, bytes]:
        flags = self._exactly(1, ends)[0]
        size = struct.unpack(">Q", self._exactly(8, ends))[0] if flags & _LONG else self._exactly(1, ends)[0]
        if size > _LARGEST:
            raise HostileInput("a ZeroMQ frame is too large", expected=f"at most {_LARGEST} bytes", got=str(size))
        return flags, self._exactly(size, ends)

    def _exactly(self, size: int, ends: float) -> bytes:
        """So many bytes; what came of them before the time was over is there for the next one who asks."""
        while len(self._kept) < size:
            left = ends - time.monotonic()
            if left <= 0:
                raise TimeoutError("no answer in time")
            self._connection.settimeout(left)
            data = self._connection.recv(1 << 16)
            if not data:
                raise ConnectionError("the other side closed the connection")
            self._kept += data
        found, self._kept = self._kept[:size], self._kept[size:]
        return found


def _property(name: str, value: str) -> bytes:
    return bytes([len(name)]) + name.encode() + struct.pack(">I", len(value)) + value.encode()
