"""The client of a kernel, against one that is played here; its sockets are real, and speak ZeroMQ's own protocol."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from builder.checks import Broken
from builder.checks._jupyter import Answer, Client, client
from builder.checks._zmtp import Socket
from builder.errors import HostileInput

SOON = 30.0
GREETING = bytes.fromhex("ff00000000000000007f0300") + b"NULL".ljust(20, b"\0") + bytes(32)
READY = b"\5READY" + b"\x0bSocket-Type\0\0\0\6ROUTER" + b"\x08Identity\0\0\0\0"
Published = list[tuple[str, dict[str, Any]]]


class Kernel:
    """Answers each request on `shell` and `control` with what `answers` gives: what is published, and the reply."""

    def __init__(self, answers: Callable[[str, str], tuple[Published, dict[str, Any]]], key: str = "secret") -> None:
        self._answers = answers
        self._key = key
        self._iopub: list[Socket] = []
        self.info: dict[str, Any] = {"key": "secret"}
        for name in ("shell", "control", "iopub"):
            server = socket.create_server(("127.0.0.1", 0))
            self.info[f"{name}_port"] = server.getsockname()[1]
            threading.Thread(target=self._serve, args=(name, server), daemon=True).start()

    def _serve(self, name: str, server: socket.socket) -> None:
        while True:
            talk = Socket(server.accept()[0], "PUB" if name == "iopub" else "ROUTER", time.monotonic() + SOON)
            if name == "iopub":
                assert talk.receive(time.monotonic() + SOON) == [b"\1"]
                self._iopub.append(talk)
                continue
            try:
                while True:
                    self._answer(talk, talk.receive(time.monotonic() + 3600))
            except OSError:
                continue

    def _answer(self, talk: Socket, frames: list[bytes]) -> None:
        header, _, _, content = (json.loads(part) for part in frames[2:])
        assert frames[1] == _signed("secret", frames[2:])
        published, reply = self._answers(header["msg_type"], content.get("code", ""))
        for kind, what in [
            ("status", {"execution_state": "busy"}),
            *published,
            ("status", {"execution_state": "idle"}),
        ]:
            for one in self._iopub:
                one.send([b"topic", *self._message(kind, {"msg_id": "of somebody else"}, what)])
                one.send([b"topic", *self._message(kind, header, what)])
        talk.send(self._message(header["msg_type"].replace("request", "reply"), header, reply))

    def _message(self, kind: str, parent: dict[str, Any], content: dict[str, Any]) -> list[bytes]:
        parts = [json.dumps(part).encode() for part in ({"msg_type": kind}, parent, {}, content)]
        return [b"<IDS|MSG>", _signed(self._key, parts), *parts]

    @contextmanager
    def client(self) -> Iterator[Client]:
        with client(lambda port: socket.create_connection(("127.0.0.1", port)), self.info) as found:
            yield found


def _signed(key: str, parts: list[bytes]) -> bytes:
    return hmac.new(key.encode(), b"".join(parts), hashlib.sha256).hexdigest().encode()


def python(kind: str, code: str) -> tuple[Published, dict[str, Any]]:
    if code == "6 * 7":
        return [("execute_result", {"data": {"text/plain": "42"}})], {"status": "ok"}
    if code == "long":
        return [("stream", {"text": "x" * 300_000})], {"status": "ok"}
    if code:
        return [("stream", {"text": "begun"}), ("error", {"ename": "Wrong", "evalue": code})], {"status": "error"}
    return [], {"status": "ok"}


def test_what_a_cell_prints_shows_and_answers_is_gathered() -> None:
    with Kernel(python).client() as talks:
        talks.ready(time.monotonic() + SOON)
        assert talks.execute("6 * 7", SOON) == Answer(status="ok", text="42")
        assert talks.execute("1/0", SOON) == Answer(status="error", text="begun\nWrong: 1/0")
        assert talks.execute("long", SOON).text == "x" * 300_000
        talks.shut_down(SOON)


def test_a_result_that_comes_after_its_cell_is_over() -> None:
    """Toree's kernel now and then says that it is idle, and shows the result then."""
    late: Published = [("status", {"execution_state": "idle"}), ("execute_result", {"data": {"text/plain": "42"}})]
    with Kernel(lambda kind, code: (late if code else [], {"status": "ok"})).client() as talks:
        talks.ready(time.monotonic() + SOON)
        assert talks.execute("6 * 7", SOON) == Answer(status="ok", text="42")


def test_meanwhile_comes_after_a_cell_has_printed_something() -> None:
    called: list[str] = []
    with Kernel(python).client() as talks:
        talks.ready(time.monotonic() + SOON)
        assert talks.execute("1/0", SOON, lambda: called.append("once")) == Answer(status="error", text="Wrong: 1/0")
    assert called == ["once"]


def test_a_kernel_that_signs_with_another_key_is_none() -> None:
    with Kernel(python, key="other").client() as talks, pytest.raises(Broken, match="is not signed with its key"):
        talks.ready(time.monotonic() + SOON)


def test_a_kernel_that_says_nothing_is_given_up() -> None:
    def slow(kind: str, code: str) -> tuple[Published, dict[str, Any]]:
        time.sleep(SOON)
        return python(kind, code)

    with Kernel(slow).client() as talks:
        with pytest.raises(Broken, match="does not answer"):
            talks.ready(time.monotonic() + 0.5)
        with pytest.raises(Broken, match="no answer to a cell"):
            talks.execute("6 * 7", 0.5)
        with pytest.raises(Broken, match="request to shut down"):
            talks.shut_down(0.5)


def peer(*sent: bytes) -> socket.socket:
    """A connection to somebody who says these bytes whatever he hears."""
    ours, theirs = socket.socketpair()
    for data in sent:
        theirs.sendall(data)
    _PEERS.append(theirs)
    return ours


_PEERS: list[socket.socket] = []


def command(body: bytes) -> bytes:
    return bytes([4, len(body)]) + body


def soon() -> float:
    return time.monotonic() + 0.2


def test_bytes_of_the_protocol() -> None:
    """Greeting, READY and frames as ZMTP 3.0 has them; commands between messages are nobody's business."""
    long = b"y" * 300
    talks = Socket(
        peer(GREETING, command(READY), b"\1\1a", b"\2" + struct.pack(">Q", 300) + long, command(b"\4PING"), b"\0\0"),
        "SUB",
        soon(),
    )
    assert talks.receive(soon()) == [b"a", long]
    assert talks.receive(soon()) == [b""]
    sent = _PEERS[-1].recv(1 << 16)
    ready = b"\5READY" + b"\x0bSocket-Type\0\0\0\3SUB" + b"\x08Identity\0\0\0\0"
    assert sent == GREETING + command(ready) + b"\0\1\1"
    with pytest.raises(TimeoutError):
        talks.receive(soon())
    _PEERS[-1].sendall(b"\0\3ab")
    with pytest.raises(TimeoutError):
        talks.receive(soon())
    _PEERS[-1].close()
    with pytest.raises(ConnectionError):
        talks.receive(soon())


@pytest.mark.parametrize(
    "sent",
    [
        b"HTTP/1.1 400 Bad Request\r\n".ljust(64),
        GREETING.replace(b"\x7f\3", b"\x7f\1"),
        GREETING.replace(b"NULL ".strip(), b"CURV"),
        GREETING + command(b"\5ERROR\3no!"),
        GREETING + command(READY) + b"\2" + struct.pack(">Q", 1 << 40),
        GREETING + command(READY) + b"\1\0" * 300,
    ],
)
def test_what_is_hostile(sent: bytes) -> None:
    with pytest.raises(HostileInput):
        Socket(peer(sent), "DEALER", soon()).receive(soon())
