"""What pip will see of a conda package: the Python distributions in it, `numpy==2.1.0`, under their PyPI names.

conda's names and versions are often others (`pytorch` is `torch`, `2024_1` is `2024.1`), so the package itself is
asked, with as few bytes as possible:

    1. the store: the package was looked at before     metadata/conda-<hex of its digest>
    2. the list of its files                           a `.conda` by HTTP ranges, a `.tar.bz2` by its first bytes
    3. what the channel says (`purls`)                 where the server does no ranges
    4. conda's own name and version                    where the channel says nothing either

A distribution is a `.dist-info` or `.egg-info` that lies directly in `site-packages`; deeper ones are vendored.
"""

from __future__ import annotations

import bz2
import io
import json
import re
import tarfile
import zipfile
from collections.abc import Iterable, Sequence
from threading import Lock as Mutex
from typing import Final

from builder.digest import Digest
from builder.errors import HostileInput, StackbuildError
from builder.frames import BadFrame, Frames
from builder.headers import BROKEN_TAR, Header, bounded
from builder.kinds.conda.record import Record, distribution
from builder.kinds.conda.request import name as name_of
from builder.net import Client
from builder.remote import RemoteFile
from builder.store import Store

_INFO: Final = 256 << 20
"""Bytes, unpacked: nobody's metadata is longer."""
_BEGINNING: Final = 1 << 20
"""Bytes of a `.tar.bz2` that are looked at; conda-build puts `info/` first."""

_BROKEN: Final = (
    EOFError, KeyError, OSError, RecursionError, TypeError, ValueError, *BROKEN_TAR, zipfile.BadZipFile
)  # fmt: skip
"""What parsers raise of a file that is not what it claims to be."""

_FOUND: Final = re.compile(
    r"(?:.*/)?site-packages/(?P<name>[A-Za-z0-9._]+)-(?P<version>[0-9][^/-]*)"
    r"(?:\.dist-info/METADATA|(?:-py[0-9.]+)?\.egg-info(?:/PKG-INFO)?)"
)
_VERSION: Final = re.compile(
    r"(?:[0-9]+!)?[0-9]+(?:\.[0-9]+)*(?:(?:a|b|rc)[0-9]+)?(?:\.post[0-9]+)?(?:\.dev[0-9]+)?(?:\+[a-z0-9]+(?:\.[a-z0-9]+)*)?"
)
"""PEP 440's normal form: pip takes no other for a constraint."""


class Distributions:
    """Looks into packages, into each once. Safe with many threads."""

    def __init__(self, client: Client, store: Store) -> None:
        self._client = client
        self._store = store
        self._busy: dict[str, Mutex] = {}
        self._mutex = Mutex()

    def __call__(self, record: Record, urls: Sequence[str]) -> tuple[str, ...]:
        """The distributions of a package, sorted; none of one that does not need Python."""
        if record.noarch != "python" and not {"python", "python_abi"} & {name_of(spec) for spec in record.depends}:
            return ()
        with self._mutex:
            busy = self._busy.setdefault(record.sha256, Mutex())
        with busy:
            return self._look(record, urls)

    def _look(self, record: Record, urls: Sequence[str]) -> tuple[str, ...]:
        cached = self._store.path / "metadata" / f"conda-{record.sha256}"
        if cached.exists():
            return tuple(json.loads(cached.read_bytes()))
        local = self._store.source(Digest(f"sha256:{record.sha256}"))
        for url in (local.as_uri(), *urls) if local.exists() else urls:
            try:
                found = in_files(_files(url, record.file, self._client))
            except StackbuildError:
                continue  # Another place may do better, and what the channel says is the last.
            self._store.write(f"metadata/conda-{record.sha256}", json.dumps(found).encode())
            return found
        return _said(record)


def _said(record: Record) -> tuple[str, ...]:
    """What the channel says of the package, without a look into it."""
    purls = [re.fullmatch(r"pkg:pypi/([A-Za-z0-9._-]+)(?:@[^?#]*)?(?:[?#].*)?", purl) for purl in record.purls]
    names = [purl[1] for purl in purls if purl] or [record.name]
    return _sorted((name, record.version) for name in names)


def in_files(paths: Iterable[str]) -> tuple[str, ...]:
    """The distributions among the files of a package."""
    found = (_FOUND.fullmatch(path) for path in paths)
    return _sorted((one["name"], one["version"]) for one in found if one)


def _sorted(found: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    items = {
        f"{re.sub(r'[-_.]+', '-', name).lower()}=={version.replace('_', '+')}"
        for name, version in found
        if _VERSION.fullmatch(version.replace("_", "+"))
    }
    return tuple(sorted(item for item in items if distribution(item)))


def _files(url: str, name: str, client: Client) -> list[str]:
    """The paths that the package lists (`info/paths.json`, of old ones `info/files`).

    Raises:
        Unreachable: the server does no ranges, or does not answer.
        HostileInput: the package is none.
    """
    try:
        if name.endswith(".tar.bz2"):
            beginning, _ = client.range(url, 0, _BEGINNING)
            return _listed(bz2.BZ2Decompressor().decompress(beginning, _INFO), cut=True)
        with zipfile.ZipFile(bounded(RemoteFile(client, url))) as archive:
            (member,) = (one for one in archive.infolist() if re.fullmatch(r"info-[^/]+\.tar\.zst", one.filename))
            if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1:
                raise ValueError("its metadata is not stored as it is")
            if member.file_size > _INFO:
                raise ValueError("its metadata is larger than any")
            packed = archive.read(member)
        return _listed(io.BufferedReader(Frames(io.BytesIO(packed))).read(_INFO), cut=False)
    except (*_BROKEN, BadFrame) as error:
        raise HostileInput(f"not a conda package: {name}", got=str(error)[:200]) from None


def _listed(data: bytes, *, cut: bool) -> list[str]:
    """The list of files in a tar, which may be cut off behind it."""
    lines: list[str] | None = None
    with tarfile.open(fileobj=io.BytesIO(data), mode="r|", tarinfo=Header) as archive:
        try:
            for member in archive:
                if member.name == "info/paths.json" and (stream := archive.extractfile(member)):
                    return [str(one["_path"]) for one in json.loads(stream.read())["paths"]]
                if member.name == "info/files" and (stream := archive.extractfile(member)):
                    lines = stream.read().decode().splitlines()
        except tarfile.ReadError:
            if not cut or lines is None:
                raise
    if lines is None:
        raise ValueError("it does not list its files")
    return lines
