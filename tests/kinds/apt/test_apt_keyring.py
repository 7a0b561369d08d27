"""Signatures: what is accepted is exactly the text that a trusted key signed."""

from __future__ import annotations

from pathlib import Path

import pysequoia
import pytest

from builder.errors import HostileInput, StackbuildError
from builder.kinds.apt import keyring

TEXT = "Origin: Toy\n- a dash\nCodename: test"
SIGNATURE = b"-----BEGIN PGP SIGNATURE-----"
Keys = tuple[pysequoia.Tsk, pysequoia.Tsk]


def signed(key: pysequoia.Tsk, text: str = TEXT) -> bytes:
    return pysequoia.sign(key.signer(), text.encode(), mode=pysequoia.SignatureMode.CLEAR)


def read(data: bytes, keys: Keys) -> str:
    return keyring.signed_text(data, (keys[0].extract_certificate(),), where="InRelease")


def test_good_signature_gives_the_text(keys: Keys) -> None:
    assert read(signed(keys[0]), keys) == TEXT


def test_not_signed(keys: Keys) -> None:
    with pytest.raises(HostileInput, match="not signed"):
        read(TEXT.encode(), keys)


def test_signed_by_a_foreign_key(keys: Keys) -> None:
    with pytest.raises(HostileInput, match="bad signature") as caught:
        read(signed(keys[1]), keys)
    assert caught.value.where == "InRelease"
    assert "signed by" in caught.value.got


def test_changed_text(keys: Keys) -> None:
    with pytest.raises(HostileInput, match="bad signature"):
        read(signed(keys[0]).replace(b"Codename: test", b"Codename: evil"), keys)


def test_changed_signature(keys: Keys) -> None:
    data = signed(keys[0])
    at = data.index(b"BEGIN PGP SIGNATURE") + 60
    flipped = b"A" if data[at : at + 1] != b"A" else b"B"
    with pytest.raises(HostileInput, match="bad signature"):
        read(data[:at] + flipped + data[at + 1 :], keys)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda data: data + b"\nCodename: evil\n",
        lambda data: data + data,
        lambda data: data.replace(SIGNATURE, SIGNATURE + b"\n\n" + SIGNATURE),
        lambda data: data[:-40],
    ],
    ids=["appended", "twice", "two signature blocks", "cut off"],
)
def test_bytes_outside_of_the_signed_text(keys: Keys, wrap) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(HostileInput, match="outside of the signed text"):
        read(wrap(signed(keys[0])), keys)


def test_text_before_the_message(keys: Keys) -> None:
    with pytest.raises(HostileInput, match="not signed"):
        read(b"Codename: evil\n" + signed(keys[0]), keys)


def test_text_smuggled_into_the_armour_header(keys: Keys) -> None:
    """Lines between the first mark and the empty line are not signed; they must not reach the text."""
    data = signed(keys[0]).replace(b"Hash: ", b"Codename: evil\nHash: ", 1)
    try:
        found = read(data, keys)
    except HostileInput:
        return
    assert found == TEXT


def test_shipped_keyring_has_debians_keys(tmp_path: Path) -> None:
    """Archive, security and release keys of Debian 12 and 13 (https://ftp-master.debian.org/keys.html)."""
    found = {one.fingerprint.upper() for one in keyring.load("debian", tmp_path)}
    assert found >= {
        "B8B80B5B623EAB6AD8775C45B7C5D7D6350947F8",
        "05AB90340C0C5E797F44A8C8254CF3B5AEC0A8F0",
        "4D64FEC119C2029067D6E791F8D2585B8783D481",
        "04B54C3CDCA79751B16BC6B5225629DF75B188BD",
        "5E04A1E3223A19A20706E20F9904613D4CCE68C6",
        "41587F7DB8C774BCCF131416762F67A0B2C39DE4",
    }


def test_missing_and_broken_keyrings(tmp_path: Path) -> None:
    with pytest.raises(StackbuildError, match="no keyring nobody"):
        keyring.load("nobody", tmp_path)
    (tmp_path / "x.gpg").write_bytes(b"no key")
    with pytest.raises(StackbuildError, match=r"not a keyring: x\.gpg"):
        keyring.load("x.gpg", tmp_path)
    with pytest.raises(StackbuildError, match="outside of the project"):
        keyring.load("../x.gpg", tmp_path)
