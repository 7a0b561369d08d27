"""The gateway's side of a kernel image: hear where the kernel is, and tell it signals.

    gateway ──KERNEL_ID, PUBLIC_KEY, RESPONSE_ADDRESS──▶ container
    gateway ◀──one message: where the kernel listens──── launcher ──starts──▶ kernel
    gateway ──{"signum": 2}, {"shutdown": 1}───────────▶ launcher's comm port

The message is base64 of JSON: `version` 1, `key` (an AES key, encrypted for the gateway's RSA key, PKCS #1 v1.5) and
`conn_info`, the connection file with more in it, encrypted by that key (AES-128 ECB, padded).

Sources: Gateway Provisioners 0.5, "response_manager" and "server_listener"; Enterprise Gateway 3.3, "System
Architecture".
"""

from __future__ import annotations

import base64
import json
import socket
import time
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from builder.checks import Broken

PORTS = ("shell_port", "iopub_port", "stdin_port", "hb_port", "control_port")
NUMBERS = (*PORTS, "comm_port", "pid")
_LONGEST = 64 << 10
"""Bytes of a message."""


class Key:
    """A gateway's key pair; `public` is how kernels are told."""

    def __init__(self) -> None:
        self._private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        known = self._private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.public = base64.b64encode(known).decode()

    def opened(self, message: bytes) -> dict[str, Any]:
        """The connection file in a message, with what its launcher has put beside it.

        Raises:
            Broken: the message is not what a gateway reads.
        """
        try:
            outer = json.loads(base64.b64decode(message, validate=True))
            version = outer["version"]
            secret = self._private.decrypt(base64.b64decode(outer["key"], validate=True), padding.PKCS1v15())
            sealed = base64.b64decode(outer["conn_info"], validate=True)
            if len(secret) != 16:
                raise Broken(f"the key in the message has {len(secret)} bytes: AES-128 has 16")
            opener = Cipher(algorithms.AES(secret), modes.ECB()).decryptor()
            unpadder = PKCS7(128).unpadder()
            plain = unpadder.update(opener.update(sealed) + opener.finalize()) + unpadder.finalize()
            found = json.loads(plain)
            said = {name: int(found[name]) for name in NUMBERS}
            if version != 1:
                raise Broken(f"the message has version {version}: gateways read 1")
            return {**dict(found), **said, "key": str(found["key"]), "kernel_id": str(found["kernel_id"])}
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise Broken(f"the message to the gateway cannot be read: {type(error).__name__}: {error}") from None


def heard(listener: socket.socket, seconds: float, ended: Callable[[], bool]) -> bytes | None:
    """The one message of a launcher, whole; None where the container ended without one, or said nothing in time.

    Raises:
        Broken: it is too long.
    """
    ends = time.monotonic() + seconds
    listener.settimeout(0.1)
    while True:
        over = ended()
        try:
            connection, _ = listener.accept()
            break
        except TimeoutError:
            if over or time.monotonic() > ends:
                return None
    found = b""
    with connection:
        connection.settimeout(10)
        while data := connection.recv(1 << 16):
            found += data
            if len(found) > _LONGEST:
                raise Broken(f"the message to the gateway is longer than {_LONGEST} bytes")
    return found


def quiet(listener: socket.socket) -> bool:
    """Whether nobody else has called meanwhile."""
    listener.settimeout(0.1)
    try:
        listener.accept()[0].close()
    except TimeoutError:
        return True
    return False


def tell(connect: Callable[[int], socket.socket], port: int, request: dict[str, int]) -> None:
    """Send a request to a launcher's comm port.

    Raises:
        OSError: nobody listens there.
    """
    with connect(port) as connection:
        connection.sendall(json.dumps(request).encode())
        connection.shutdown(socket.SHUT_WR)
