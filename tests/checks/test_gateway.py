"""The gateway's side of a kernel image: messages that a launcher may send, good and bad."""

from __future__ import annotations

import base64
import json
import os
import socket
import threading
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.hazmat.primitives.serialization import load_der_public_key

from builder.checks import Broken
from builder.checks._gateway import Key, heard, quiet, tell

KEY = Key()
CONNECTION = {
    **{
        f"{name}_port": number for number, name in enumerate(("shell", "iopub", "stdin", "hb", "control", "comm"), 5000)
    },
    "key": "secret",
    "kernel_id": "1",
    "pid": "17",  # Toree's launcher writes it as text.
}


def sealed(plain: bytes, secret: bytes) -> bytes:
    padder = PKCS7(128).padder()
    sealer = Cipher(algorithms.AES(secret), modes.ECB()).encryptor()
    return sealer.update(padder.update(plain) + padder.finalize()) + sealer.finalize()


def message(connection: object = CONNECTION, *, public: str = KEY.public, size: int = 16, **other: object) -> bytes:
    """What a launcher sends."""
    secret = os.urandom(size)
    key = load_der_public_key(base64.b64decode(public))
    assert isinstance(key, rsa.RSAPublicKey)
    outer: dict[str, Any] = {
        "version": 1,
        "key": base64.b64encode(key.encrypt(secret, padding.PKCS1v15())).decode(),
        "conn_info": base64.b64encode(sealed(json.dumps(connection).encode(), secret)).decode(),
    }
    return base64.b64encode(json.dumps({**outer, **other}).encode())


def test_a_message_is_opened() -> None:
    assert KEY.opened(message()) == {**CONNECTION, "pid": 17}


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"", "cannot be read"),
        (b"no base64!", "cannot be read"),
        (base64.b64encode(b"[1]"), "cannot be read"),
        (base64.b64encode(b'{"version": 1}'), "KeyError: 'key'"),
        (base64.b64encode(b"[" * 10000), "cannot be read"),
        (message(version=2), "version 2: gateways read 1"),
        (message(size=32), "32 bytes: AES-128 has 16"),
        (message(public=Key().public), "cannot be read|bytes: AES-128 has 16"),
        (message(conn_info="AAAA"), "cannot be read"),
        (message({**CONNECTION, "shell_port": "none"}), "cannot be read"),
        (message({name: value for name, value in CONNECTION.items() if name != "comm_port"}), "comm_port"),
        (message([]), "cannot be read"),
    ],
)
def test_what_no_gateway_reads(sent: bytes, said: str) -> None:
    with pytest.raises(Broken, match=said):
        KEY.opened(sent)


@pytest.fixture
def listener() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


def send(listener: socket.socket, data: bytes) -> None:
    def run() -> None:
        with socket.create_connection(listener.getsockname()) as connection:
            for start in range(0, len(data), 1000):
                connection.sendall(data[start : start + 1000])

    threading.Thread(target=run, daemon=True).start()


def test_a_message_of_many_packets_is_heard_whole(listener: socket.socket) -> None:
    send(listener, b"x" * 5000)
    assert heard(listener, 30, lambda: False) == b"x" * 5000
    assert quiet(listener)


def test_a_second_message_is_noticed(listener: socket.socket) -> None:
    with socket.create_connection(listener.getsockname()):
        assert not quiet(listener)


def test_a_container_that_ends_says_nothing_more(listener: socket.socket) -> None:
    assert heard(listener, 3600, lambda: True) is None


def test_one_that_had_said_it_before_it_ended_is_heard(listener: socket.socket) -> None:
    with socket.create_connection(listener.getsockname()) as connection:
        connection.sendall(b"last words")
    assert heard(listener, 30, lambda: True) == b"last words"


def test_a_message_without_end_is_cut_off(listener: socket.socket) -> None:
    send(listener, b"x" * 100_000)
    with pytest.raises(Broken, match="longer than 65536 bytes"):
        heard(listener, 30, lambda: False)


def test_a_request_is_json_up_to_the_end_of_the_stream(listener: socket.socket) -> None:
    tell(lambda port: socket.create_connection(("127.0.0.1", port)), listener.getsockname()[1], {"signum": 2})
    assert heard(listener, 30, lambda: False) == b'{"signum": 2}'
