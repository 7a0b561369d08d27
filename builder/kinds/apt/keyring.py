"""OpenPGP: from the bytes of an InRelease file to the text that a trusted key signed.

The file is a message in the cleartext signature framework (RFC 9580 §7). Only the text that the library hands
back is used, never a piece cut out of the file by us. As one valid signature of a trusted key is enough
(apt-secure(8)), keys may be replaced without a day on which nobody can lock.

Signatures and keys are judged by the time the signature was made and today's policy of the library; an
archive's snapshot of a past day stays readable after its key has expired.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

import pysequoia

from builder import limits
from builder.errors import HostileInput, StackbuildError

Keyring: TypeAlias = tuple[pysequoia.Cert, ...]

_SHIPPED = Path(__file__).parents[2] / "keyrings"
_BEGIN = b"-----BEGIN PGP SIGNED MESSAGE-----"
_FRAME = [_BEGIN, b"-----BEGIN PGP SIGNATURE-----", b"-----END PGP SIGNATURE-----"]


@lru_cache(maxsize=16)
def load(name: str, folder: Path) -> Keyring:
    """The keys of one keyring.

    Args:
        name: a keyring shipped with stackbuild (`debian`), or a path below the manifest's folder.
        folder: the manifest's folder.

    Raises:
        StackbuildError: there is no such file, or it holds no keys.
    """
    shipped = _SHIPPED / f"{name}.gpg"
    path = shipped if "/" not in name and shipped.is_file() else folder / name
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise StackbuildError(f"keyring outside of the project: {name}", expected="a path below stacks.toml's folder")
    try:
        certificates = pysequoia.Cert.split_bytes(limits.read(path, limits.KEYRING, "keyring"))
    except OSError as error:
        known = ", ".join(sorted(one.stem for one in _SHIPPED.glob("*.gpg")))
        raise StackbuildError(
            f"no keyring {name}",
            where=str(path),
            expected=f"one of {known}, or a file",
            got=str(error.strerror),
        ) from None
    except HostileInput:
        raise
    except Exception as error:  # the library's errors have no type of their own
        raise StackbuildError(f"not a keyring: {name}", where=str(path), got=_first_line(error)) from None
    if not certificates:
        raise StackbuildError(f"not a keyring: {name}", where=str(path), got="no key in it")
    return tuple(certificates)


def signed_text(data: bytes, keyring: Keyring, *, where: str) -> str:
    """The text of a cleartext-signed message, as signed.

    Args:
        where: what the bytes are, for errors (a URL without credentials).

    Raises:
        HostileInput: no signature, none that is valid by a key of the ring, or bytes outside of the signed
            part.
    """
    _refuse_unframed(data, where)
    asked: list[str] = []

    def certificates(identifiers: list[str]) -> list[pysequoia.Cert]:
        asked.extend(identifiers)
        return list(keyring)

    try:
        verified = pysequoia.verify(bytes=data, store=certificates)
    except Exception as error:  # the library's errors have no type of their own
        raise HostileInput(
            "bad signature",
            where=where,
            expected=f"a valid signature by one of {len(keyring)} trusted keys",
            got=f"{_first_line(error)} (signed by {', '.join(asked) or 'nobody'})",
            next_step="try another mirror; if the archive has new keys, renew the keyring",
        ) from None
    if not verified.valid_sigs or verified.bytes is None:
        raise HostileInput("bad signature", where=where, got="no valid signature")
    try:
        return verified.bytes.decode()
    except UnicodeDecodeError:
        raise HostileInput("signed text is not UTF-8", where=where) from None


def _refuse_unframed(data: bytes, where: str) -> None:
    """A message and nothing else: `gpgv` and the library would quietly skip what stands outside."""
    if not data.startswith(_BEGIN):
        raise HostileInput(
            "not signed",
            where=where,
            expected=_BEGIN.decode(),
            got=repr(data[:40]),
            next_step="try another mirror",
        )
    # In the signed text every line that begins with a dash is escaped (RFC 9580 §7.2): these are the frame's.
    marks = [line.rstrip() for line in data.split(b"\n") if line.startswith(b"-----")]
    after = data.rpartition(_FRAME[-1])[2].strip()
    if marks != _FRAME or after:
        raise HostileInput(
            "bytes outside of the signed text",
            where=where,
            expected="one signed message",
            got=repr(after[:40]),
        )


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
