"""The keys of signatures on images: PEM ─→ what signs, what verifies.

Taken are ECDSA on P-256, which cosign makes, and RSA of 2048 bits or more (PKCS #1 v1.5), both over SHA-256. Of Ed25519
the versions of cosign sign different things (RFC 8032's Ed25519 or Ed25519ph), so that it is refused.

    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out image.key
    openssl pkey -in image.key -pubout -out image.pub

Sources: RFC 5958 (PKCS #8), RFC 5280 §4.1 (public keys), RFC 6979 (signatures without chance).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from builder.digest import Digest
from builder.errors import StackbuildError
from builder.signatures import cosign_key

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

PASSPHRASE: Final = "STACKBUILD_SIGNING_PASSPHRASE"
_LARGEST: Final = 64 << 10
_BITS: Final = range(2048, 8193)
_MAKE: Final = "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out image.key"
_PUBLISH: Final = "openssl pkey -in image.key -pubout -out image.pub"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that verifies.

    Attributes:
        name: its path, for messages.
        digest: of its SubjectPublicKeyInfo in DER.
    """

    name: str
    digest: Digest
    _key: EllipticCurvePublicKey | RSAPublicKey = field(repr=False, compare=False)

    def has_signed(self, message: bytes, signature: bytes) -> bool:
        """Whether its private key made this signature of the message."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric import ec, padding
        from cryptography.hazmat.primitives.hashes import SHA256

        try:
            if isinstance(self._key, ec.EllipticCurvePublicKey):
                self._key.verify(signature, message, ec.ECDSA(SHA256()))
            else:
                self._key.verify(signature, message, padding.PKCS1v15(), SHA256())
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """A key that signs."""

    public: PublicKey
    _key: EllipticCurvePrivateKey | RSAPrivateKey = field(repr=False, compare=False)

    def sign(self, message: bytes) -> bytes:
        """The signature: of a message always the same, where OpenSSL is 3.2 or newer."""
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric import ec, padding
        from cryptography.hazmat.primitives.hashes import SHA256

        if not isinstance(self._key, ec.EllipticCurvePrivateKey):
            return self._key.sign(message, padding.PKCS1v15(), SHA256())
        try:
            return self._key.sign(message, ec.ECDSA(SHA256(), deterministic_signing=True))
        except UnsupportedAlgorithm:
            return self._key.sign(message, ec.ECDSA(SHA256()))


def private(text: str, passphrase: str, where: str) -> PrivateKey:
    """The key that signs.

    Args:
        text: its PEM, or the path of a file that holds it: PKCS #8, plain or encrypted, or cosign's own.
        passphrase: of one that is encrypted; "" for none.
        where: what names it, for messages.

    Raises:
        StackbuildError: it is none, or of a kind that is not taken; nothing of the text is told.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_der_private_key, load_pem_private_key

    data = _data(text, where)
    secret = passphrase.encode() if b"ENCRYPTED" in data else None
    try:
        if cosign_key.is_one(data):
            found = load_der_private_key(cosign_key.opened(data, passphrase), None)
        else:
            found = load_pem_private_key(data, secret)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        if secret is not None:
            _refuse_locked(where, passphrase)
        got = "a public key" if b"PUBLIC KEY" in data else "something else, or a damaged key"
        _refuse(where, "a private key in PEM, or the path of its file", got, _MAKE)
    public_one = _judged(found.public_key(), where, where)
    return PrivateKey(public_one, found)  # type: ignore[arg-type]  # Its public half has been judged.


def public(path: Path, name: str) -> PublicKey:
    """The key of a file that verifies.

    Args:
        name: what the user calls the file.

    Raises:
        StackbuildError: there is none, or of a kind that is not taken.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    data = _read(path, name)
    if b"PRIVATE KEY" in data:
        _refuse(name, "a public key, which may be shown to everybody", "a private key", _PUBLISH)
    try:
        found = load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        _refuse(name, "a public key in PEM", "something else, or a damaged key", _PUBLISH)
    return _judged(found, name, name)


def _judged(found: Any, name: str, where: str) -> PublicKey:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    if isinstance(found, ec.EllipticCurvePublicKey):
        got, good = f"ECDSA on {found.curve.name}", isinstance(found.curve, ec.SECP256R1)
    elif isinstance(found, rsa.RSAPublicKey):
        got, good = f"RSA of {found.key_size} bits", found.key_size in _BITS
    else:
        got, good = type(found).__name__.removesuffix("PublicKey"), False
    if not good:
        _refuse(where, f"ECDSA on P-256, or RSA of {_BITS.start} to {_BITS[-1]} bits", got, _MAKE)
    return PublicKey(name, Digest.of(found.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)), found)


def _data(text: str, where: str) -> bytes:
    return text.encode() if "-----BEGIN" in text else _read(Path(text), where)


def _read(path: Path, where: str) -> bytes:
    try:
        with path.open("rb") as stream:
            data = stream.read(_LARGEST + 1)
    except (OSError, ValueError) as error:
        _refuse(where, "the path of a file in PEM", getattr(error, "strerror", "") or type(error).__name__, "")
    if len(data) > _LARGEST:
        _refuse(where, f"a file in PEM, of at most {_LARGEST} bytes", "more", "")
    return data


def _refuse(where: str, expected: str, got: str, next_step: str) -> NoReturn:
    raise StackbuildError(
        "not a key for signatures on images", where=where, expected=expected, got=got, next_step=next_step
    )


def _refuse_locked(where: str, passphrase: str) -> NoReturn:
    raise StackbuildError(
        "cannot decrypt the key for signatures on images",
        where=where,
        expected=f"its passphrase in {PASSPHRASE}",
        got="another one, or a damaged key" if passphrase else "none",
    )
