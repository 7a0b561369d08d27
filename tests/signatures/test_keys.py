"""PEM in, keys out: those that cosign takes, and words for those that it does not."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from pathlib import Path

import pytest
from nacl.secret import SecretBox

from builder.digest import Digest
from builder.errors import StackbuildError
from builder.signatures.keys import private, public
from tests.image_signatures import P256, RSA, openssl, pair


@pytest.mark.parametrize("kind", [P256, RSA], ids=["ECDSA", "RSA"])
def test_what_it_signs_openssl_verifies_and_the_other_way_round(kind: tuple[str, ...], tmp_path: Path) -> None:
    key, pub = pair(tmp_path, "one", kind)
    ours = private(str(key), "", "--key")
    (tmp_path / "signature").write_bytes(ours.sign(b"message"))
    verify = ("dgst", "-sha256", "-verify", str(pub), "-signature", str(tmp_path / "signature"))
    assert b"OK" in openssl(*verify, data=b"message")
    theirs = openssl("dgst", "-sha256", "-sign", str(key), data=b"message")
    known = public(pub, "one.pub")
    assert known.has_signed(b"message", theirs) and not known.has_signed(b"another", theirs)
    assert not known.has_signed(b"message", b"") and not known.has_signed(b"message", theirs[:-1])
    der = openssl("pkey", "-pubin", "-in", str(pub), "-outform", "DER")
    assert known.digest == ours.public.digest == Digest.of(der)


def test_a_signature_is_always_the_same(tmp_path: Path) -> None:
    key = private(str(pair(tmp_path, "one")[0]), "", "--key")
    assert len({key.sign(b"message") for _ in range(5)}) == 1


def test_a_text_will_do_as_well_as_a_path(tmp_path: Path) -> None:
    key, pub = pair(tmp_path, "one")
    assert private(key.read_text(), "not asked for", "X").public.digest == public(pub, "").digest


def test_an_encrypted_key_wants_its_passphrase(tmp_path: Path) -> None:
    key, pub = pair(tmp_path, "one")
    locked = tmp_path / "locked.key"
    openssl("pkcs8", "-topk8", "-in", str(key), "-passout", "pass:hunter22", "-out", str(locked))
    assert private(str(locked), "hunter22", "X").public.digest == public(pub, "").digest
    for passphrase, got in (("", "none"), ("hunter23", "another one")):
        with pytest.raises(StackbuildError, match="cannot decrypt") as caught:
            private(str(locked), passphrase, "X")
        assert got in caught.value.got and "STACKBUILD_SIGNING_PASSPHRASE" in caught.value.expected
        assert "hunter23" not in str(caught.value)


def cosigns(key: Path, passphrase: str, name: str = "SIGSTORE", **changes: object) -> str:
    """A key as cosign encrypts it, with PyNaCl and hashlib as the other side."""
    salt, nonce = os.urandom(32), os.urandom(SecretBox.NONCE_SIZE)
    secret = hashlib.scrypt(passphrase.encode(), salt=salt, n=4096, r=8, p=1, dklen=32)
    der = openssl("pkcs8", "-topk8", "-nocrypt", "-in", str(key), "-outform", "DER")
    said = {
        "kdf": {"name": "scrypt", "params": {"N": 4096, "r": 8, "p": 1}, "salt": base64.b64encode(salt).decode()},
        "cipher": {"name": "nacl/secretbox", "nonce": base64.b64encode(nonce).decode()},
        "ciphertext": base64.b64encode(SecretBox(secret).encrypt(der, nonce).ciphertext).decode(),
        **changes,
    }
    label = f"ENCRYPTED {name} PRIVATE KEY"
    return f"-----BEGIN {label}-----\n{base64.encodebytes(json.dumps(said).encode()).decode()}-----END {label}-----\n"


@pytest.mark.parametrize("name", ["SIGSTORE", "COSIGN"])
@pytest.mark.parametrize("passphrase", ["", "hunter22"])
def test_cosigns_own_key(name: str, passphrase: str, tmp_path: Path) -> None:
    key, pub = pair(tmp_path, "one")
    text = cosigns(key, passphrase, name)
    assert private(text, passphrase, "X").public.digest == public(pub, "").digest
    with pytest.raises(StackbuildError, match="cannot decrypt"):
        private(text, "hunter23", "X")


@pytest.mark.parametrize(
    "changes",
    [
        {"kdf": {}},
        {"kdf": {"name": "scrypt", "params": {"N": 1 << 40, "r": 8, "p": 1}, "salt": ""}},
        {"kdf": {"name": "scrypt", "params": {"N": "4096", "r": 8, "p": 1}, "salt": ""}},
        {"cipher": {"name": "rot13", "nonce": ""}},
        {"cipher": {"name": "nacl/secretbox", "nonce": "AAAA"}},
        {"ciphertext": ""},
    ],
    ids=["no scrypt", "too much memory", "no number", "another cipher", "short nonce", "nothing"],
)
def test_a_damaged_key_of_cosigns_is_refused(changes: dict[str, object], tmp_path: Path) -> None:
    text = cosigns(pair(tmp_path, "one")[0], "hunter22", "SIGSTORE", **changes)
    with pytest.raises(StackbuildError, match="cannot decrypt"):
        private(text, "hunter22", "X")


@pytest.mark.parametrize(
    ("kind", "got"),
    [
        (("ED25519",), "Ed25519"),
        (("EC", "ec_paramgen_curve:P-384"), "secp384r1"),
        (("RSA", "rsa_keygen_bits:1024"), "RSA of 1024 bits"),
    ],
)
def test_keys_of_which_verifiers_disagree_are_refused(kind: tuple[str, ...], got: str, tmp_path: Path) -> None:
    key, pub = pair(tmp_path, "one", kind)
    for make in (lambda: private(str(key), "", "X"), lambda: public(pub, "X")):
        with pytest.raises(StackbuildError, match="not a key for signatures on images") as caught:
            make()
        assert got in caught.value.got


def test_a_private_key_is_not_published_and_never_told(tmp_path: Path) -> None:
    key, _ = pair(tmp_path, "one")
    with pytest.raises(StackbuildError) as caught:
        public(key, "keys/one.key")
    assert caught.value.got == "a private key"
    body = key.read_text().splitlines()[1]
    for text in (key.read_text().replace("M", "!"), body, str(tmp_path / "absent"), str(tmp_path), "\0"):
        with pytest.raises(StackbuildError) as caught:
            private(text, "", "STACKBUILD_SIGNING_KEY")
        assert body not in str(caught.value)
    assert body not in repr(private(str(key), "", "X"))


def test_no_public_key(tmp_path: Path) -> None:
    for data in (b"", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", b"x" * (65 << 10)):
        (tmp_path / "one.pub").write_bytes(data)
        with pytest.raises(StackbuildError, match="not a key for signatures") as caught:
            public(tmp_path / "one.pub", "keys/one.pub")
        assert caught.value.where == "keys/one.pub"
        assert "Error" not in caught.value.got


def test_the_wrong_half_of_a_pair(tmp_path: Path) -> None:
    """It said no more than `ValueError`."""
    with pytest.raises(StackbuildError) as caught:
        private(str(pair(tmp_path, "one")[1]), "", "--key")
    assert caught.value.got == "a public key"
