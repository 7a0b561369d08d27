"""Ed25519 signatures (RFC 8032) of what is shared: who says that this action came to this result.

A public key is written `ed25519:<base64 of its 32 bytes>`. A private key is PEM (PKCS #8), as openssl makes it:

    openssl genpkey -algorithm ed25519 -out cache.pem
    openssl pkey -in cache.pem -pubout -outform DER | tail -c 32 | base64
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from pathlib import Path

from builder.errors import StackbuildError

PREFIX = "ed25519:"


class Signer:
    """Signs with one private key.

    Args:
        text: its PEM, or the path of a file that holds it.

    Raises:
        StackbuildError: it is none.
    """

    def __init__(self, text: str) -> None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        try:
            data = text.encode() if "-----BEGIN" in text else Path(text).read_bytes()
            found = load_pem_private_key(data, None)
        except (OSError, ValueError, TypeError) as error:
            raise _no_key(type(error).__name__) from None
        if not isinstance(found, Ed25519PrivateKey):
            raise _no_key(type(found).__name__)
        self._key = found

    @property
    def public(self) -> str:
        return PREFIX + base64.b64encode(self._key.public_key().public_bytes_raw()).decode()

    def sign(self, message: bytes) -> str:
        """The signature, as base64."""
        return base64.b64encode(self._key.sign(message)).decode()


def signed(message: bytes, signature: str, keys: Iterable[str]) -> bool:
    """Whether one of the public keys has signed the message."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        given = base64.b64decode(signature, validate=True)
    except binascii.Error:
        return False
    for key in keys:
        try:
            public = Ed25519PublicKey.from_public_bytes(base64.b64decode(key.removeprefix(PREFIX), validate=True))
            public.verify(given, message)
        except (InvalidSignature, ValueError):
            continue
        return True
    return False


def _no_key(got: str) -> StackbuildError:
    return StackbuildError(
        "not a private key for signing",
        where="STACKBUILD_CACHE_KEY",
        expected="the path of a PEM file with an Ed25519 key, or its text",
        got=got,
        next_step="openssl genpkey -algorithm ed25519 -out cache.pem",
    )
