"""Search files and texts for secrets, in every form in which they could have got there."""

from __future__ import annotations

import filecmp
import gzip
import io
import lzma
import zipfile
import zlib
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

import zstandard


def leaks(
    secrets: Iterable[str], folders: Sequence[Path], texts: Sequence[str], *, clean: Path | None = None
) -> list[str]:
    """Where a secret was found: paths, names of files included, and beginnings of lines of the texts.

    Args:
        clean: a folder like these that was made before there were secrets: what is in it, byte for byte, has none.
            Only files at the same place are compared, and those that a digest names.
    """
    marks = tuple({form for secret in secrets for form in forms(secret)})
    digests = {path.name: path for path in clean.rglob("*") if len(path.name) == 64} if clean else {}
    found = []
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            name = str(path.relative_to(folder)).encode()
            others = (clean / path.relative_to(folder), digests.get(path.name, path.parent)) if clean else ()
            known = any(_same(path, other) for other in others)
            data = path.read_bytes() if path.is_file() and not path.is_symlink() and not known else b""
            if any(mark in one for one in (name, *unpacked(data)) for mark in marks):
                found.append(str(path))
    for text in texts:
        found += [line[:60] for line in text.splitlines() if any(mark in line.encode() for mark in marks)]
    return found


def _same(path: Path, other: Path) -> bool:
    """Whether both are the same file, or files of the same bytes."""
    if not (path.is_file() and other.is_file()):
        return False
    return path.samefile(other) or filecmp.cmp(path, other, shallow=False)


def forms(secret: str) -> Iterator[bytes]:
    """As it is, in a URL, in base64 whatever stands before it, and in hexadecimal digits."""
    data = secret.encode()
    yield from (data, quote(secret).encode(), quote(secret, safe="").encode(), data.hex().encode())
    for before in range(3):
        # The characters that are made of nothing but the secret's bytes: 6 bits each.
        first, last = -(-before * 8 // 6), (before + len(data)) * 8 // 6
        for encode in (b64encode, urlsafe_b64encode):
            yield encode(bytes(before) + data)[first:last]


def unpacked(data: bytes, depth: int = 4) -> Iterator[bytes]:
    """The bytes, and what they hold where they are compressed; a tar is searched as it is."""
    yield data
    if not depth:
        return
    try:
        if data.startswith(b"\x1f\x8b"):
            yield from unpacked(gzip.decompress(data), depth - 1)
        elif data.startswith(b"\xfd7zXZ"):
            yield from unpacked(lzma.decompress(data), depth - 1)
        elif data.startswith(b"\x28\xb5\x2f\xfd"):
            with zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True) as stream:
                yield from unpacked(stream.read(), depth - 1)
        elif data.startswith(b"PK\x03\x04"):
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                for name in archive.namelist():
                    yield name.encode()
                    yield from unpacked(archive.read(name), depth - 1)
    except (OSError, EOFError, zlib.error, lzma.LZMAError, zstandard.ZstdError, zipfile.BadZipFile):
        return  # It only began like one.
