"""A private key as `cosign generate-key-pair` and `cosign import-key-pair` leave it: PEM around encrypted PKCS #8.

    -----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----       older: ENCRYPTED COSIGN PRIVATE KEY
    base64 of {"kdf": {"name": "scrypt", "params": {"N", "r", "p"}, "salt"},
               "cipher": {"name": "nacl/secretbox", "nonce"}, "ciphertext"}

Source: securesystemslib's encrypted package, which cosign, skopeo and podman use; RFC 7914 (scrypt).
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import Final

_PEM: Final = re.compile(
    rb"-----BEGIN ENCRYPTED (SIGSTORE|COSIGN) PRIVATE KEY-----\s+([A-Za-z0-9+/=\s]+)"
    rb"-----END ENCRYPTED \1 PRIVATE KEY-----\s*"
)
_SIZE: Final = 32
"""Bytes of a secretbox's key."""
_MEMORY: Final = 256 << 20
"""Bytes that deriving a key may take; cosign's parameters take 64 MiB."""


def is_one(data: bytes) -> bool:
    """Whether a file holds such a key."""
    return _PEM.search(data) is not None


def opened(data: bytes, passphrase: str) -> bytes:
    """The key as PKCS #8 in DER.

    Raises:
        ValueError: it is damaged, or the passphrase is another one.
    """
    from nacl.exceptions import CryptoError
    from nacl.secret import SecretBox

    found = _PEM.search(data)
    if found is None:
        raise ValueError("not a private key of cosign")
    try:
        said = json.loads(base64.b64decode(b"".join(found[2].split()), validate=True))
        derived, cipher = said["kdf"], said["cipher"]
        if derived["name"] != "scrypt" or cipher["name"] != "nacl/secretbox":
            raise ValueError("an unknown cipher")
        number = derived["params"]
        secret = hashlib.scrypt(
            passphrase.encode(),
            salt=base64.b64decode(derived["salt"], validate=True),
            n=number["N"],
            r=number["r"],
            p=number["p"],
            maxmem=_MEMORY,
            dklen=_SIZE,
        )
        box = base64.b64decode(said["ciphertext"], validate=True)
        return SecretBox(secret).decrypt(box, base64.b64decode(cipher["nonce"], validate=True))
    except CryptoError:
        raise ValueError("another passphrase") from None
    except (KeyError, TypeError, OverflowError, RecursionError, MemoryError):
        raise ValueError("a damaged key of cosign") from None
