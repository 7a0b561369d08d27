"""METADATA of a wheel that is still on its index, with as few bytes as possible.

    1. the store: METADATA was read before            metadata/wheel-<hex of its digest>: the wheel's size, the text
    2. the sidecar `<url>.metadata`                   where the index offers it (PEP 658); its digest is checked
    3. the zip's directory and one member by ranges   64 KiB from the end hold both, for most wheels
    4. the whole wheel                                where the server does no ranges; it stays in the store

What comes by ranges cannot be checked against the wheel's digest: here, as everywhere at lock time, the index is
believed. What is installed later is the wheel, and that is checked.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Sequence
from email.parser import HeaderParser

from builder.digest import Digest
from builder.errors import HostileInput, Unreachable
from builder.headers import bounded
from builder.kinds.pip.page import IndexFile
from builder.net import Client
from builder.redaction import redact
from builder.remote import RemoteFile
from builder.store import Store

_LIMIT = 16 << 20
"""Bytes: no METADATA is longer than that."""


def read(file: IndexFile, digest: Digest, client: Client, store: Store) -> tuple[str, int]:
    """The text of a wheel's METADATA, and the wheel's size in bytes. Safe with many threads.

    Args:
        digest: of the wheel, as its index or its lock names it.

    Raises:
        Unreachable: the file cannot be had.
        HostileInput: the wheel is none, or its METADATA is not where PEP 427 says.
    """
    if (found := known(digest, store)) is not None:
        return found
    text, size = _sidecar(file, client), file.size
    if text is None:
        text, size = _from_zip(file, digest, client, store)
    elif size is None:
        size = client.size(file.url)
    store.write(_place(digest), f"{size}\n{text}".encode())
    return text, size


def known(digest: Digest, store: Store) -> tuple[str, int] | None:
    """What `read` found before, without asking anybody; None if it was never asked."""
    try:
        size, _, text = (store.path / _place(digest)).read_text("utf-8").partition("\n")
    except FileNotFoundError:
        return None
    return text, int(size)


def _place(digest: Digest) -> str:
    return f"metadata/wheel-{digest.hex}"


def _sidecar(file: IndexFile, client: Client) -> str | None:
    if file.metadata is None:
        return None
    try:
        data = client.get(file.url + ".metadata", limit=_LIMIT)
    except Unreachable:
        return None  # Some mirrors copy the promise and not the file.
    if file.metadata and Digest.of(data) != "sha256:" + file.metadata:
        raise HostileInput(
            f"wrong digest: {redact(file.url)}.metadata",
            expected="sha256:" + file.metadata,
            got=Digest.of(data),
        )
    return data.decode("utf-8", "replace")


def _from_zip(file: IndexFile, digest: Digest, client: Client, store: Store) -> tuple[str, int]:
    try:
        remote: RemoteFile | None = RemoteFile(client, file.url)
    except Unreachable:
        remote = None
    if remote is not None:
        return member(zipfile_of(remote, file.name), file.name), remote.size
    path = store.source(digest)
    if not path.exists():
        size = client.size(file.url) if file.size is None else file.size
        with store.new_source() as incoming:
            client.download([file.url], digest=digest, size=size, into=incoming)
    with path.open("rb") as stream:
        return member(zipfile_of(stream, file.name), file.name), path.stat().st_size


def zipfile_of(stream: io.RawIOBase | io.BufferedReader, filename: str) -> zipfile.ZipFile:
    """Raises: HostileInput: the file is no zip."""
    try:
        return zipfile.ZipFile(bounded(stream))
    except (zipfile.BadZipFile, ValueError, OSError) as error:
        raise HostileInput(f"not a wheel: {filename}", got=str(error)) from None


def member(archive: zipfile.ZipFile, filename: str) -> str:
    """The text of `<name>-<version>.dist-info/METADATA` (PEP 427), at most 16 MiB of it.

    Raises:
        HostileInput: there is none or there are several, or it is damaged or too long.
    """
    name = re.sub(r"[-_.]+", "-", filename.split("-")[0]).lower()
    found = [
        info
        for info in archive.infolist()
        if re.fullmatch(r"[^/]+\.dist-info/METADATA", info.filename)
        and re.sub(r"[-_.]+", "-", info.filename.split("-")[0]).lower() == name
    ]
    if len(found) != 1:
        raise HostileInput(f"not a wheel: {filename}", expected="one .dist-info/METADATA", got=f"{len(found)}")
    try:
        with archive.open(found[0]) as stream:
            data = stream.read(_LIMIT + 1)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise HostileInput(f"METADATA of {filename} cannot be read", got=str(error)) from None
    if len(data) > _LIMIT:
        raise HostileInput(f"METADATA of {filename} is too long", expected=f"at most {_LIMIT} bytes")
    return data.decode("utf-8", "replace")


def requires_dist(text: str) -> Sequence[str]:
    """The Requires-Dist lines of a METADATA text, in its order."""
    return [" ".join(str(line).split()) for line in HeaderParser().parsestr(text).get_all("Requires-Dist", [])]
