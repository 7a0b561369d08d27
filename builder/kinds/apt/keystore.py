"""Java's list of authorities, which Debian's ca-certificates-java makes: the same for the same certificates.

    magic FEEDFEED, version 2, number of entries
    entries     tag 2 (a certificate), alias, milliseconds since 1970, type of certificate, length, certificate
    SHA-1       of the password as UTF-16BE, "Mighty Aphrodite", and all of the above

All numbers are big-endian, texts have their length before them in two bytes. An entry has the time at which it was
made, which nobody reads; a keystore with any other tag holds keys, is not Debian's, and stays as it is. Runs inside the
sandbox: standard library only.

Source: sun.security.provider.JavaKeyStore of OpenJDK; debian/JKS of ca-certificates-java, whose password is `changeit`.
"""

from __future__ import annotations

import hashlib
import os
import struct

PATH = "/etc/ssl/certs/java/cacerts"
_HEAD = struct.pack(">II", 0xFEEDFEED, 2)
_CERTIFICATE = 2
_SALT = "changeit".encode("utf-16-be") + b"Mighty Aphrodite"
_LARGEST = 64 << 20


def settle(path: str, milliseconds: int) -> None:
    """Give all entries of a keystore one time, and an order (short names first); a file that is none stays as it is."""
    if not os.path.isfile(path) or os.path.islink(path) or os.path.getsize(path) > _LARGEST:
        return
    with open(path, "rb") as stream:
        data = stream.read()
    if (settled := rewritten(data, milliseconds)) is not None:
        with open(path, "wb") as stream:
            stream.write(settled)


def rewritten(data: bytes, milliseconds: int) -> bytes | None:
    """The keystore with that time in all entries; None where it is no list of certificates under Debian's password."""
    body, seal = data[:-20], data[-20:]
    if not body.startswith(_HEAD) or hashlib.sha1(_SALT + body).digest() != seal:
        return None
    entries, at = list[tuple[bytes, bytes]](), len(_HEAD) + 4
    try:
        (number,) = struct.unpack_from(">I", body, len(_HEAD))
        for _ in range(number):
            tag, length = struct.unpack_from(">IH", body, at)
            alias = body[at : at + 6 + length]
            after = at + len(alias) + 8
            (kind,) = struct.unpack_from(">H", body, after)
            (size,) = struct.unpack_from(">I", body, after + 2 + kind)
            at = after + 2 + kind + 4 + size
            if tag != _CERTIFICATE or at > len(body):
                return None
            entries.append((alias, body[after:at]))
    except struct.error:
        return None
    if at != len(body):
        return None
    time = struct.pack(">Q", milliseconds)
    body = body[: len(_HEAD) + 4] + b"".join(alias + time + rest for alias, rest in sorted(entries))
    return body + hashlib.sha1(_SALT + body).digest()
