"""Debian packages that zstd packed, as Ubuntu's are, with plain members instead.

Packages are unpacked in the sandbox, by Python's standard library, which has no zstd before 3.14. These are
decompressed before it starts; packages of xz, gzip or nothing go in as they came.
"""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from builder.errors import HostileInput
from builder.frames import BadFrame, Frames
from builder.kinds.apt.deb import MAGIC, BadDeb, Part, ar_header, ar_members

_ZSTD = ".tar.zst"
_BLOCK = 1 << 20
_ROOM = 1 << 28
_RATIO = 200
"""A package may unpack to so many times its size and as much room beside: text packed by zstd reaches 20 times."""


def plain(packages: Mapping[str, Path], folder: Path) -> dict[str, Path]:
    """Write those of the packages that have a member packed by zstd once more, without compression.

    Args:
        packages: whatever a caller calls them → files, their digests already checked.
        folder: where to write; it is made once one is there.

    Returns:
        The caller's name → the file that was written, in the folder; nothing for a package that needs none.

    Raises:
        HostileInput: a package is damaged, or unpacks to far more than its size.
    """
    written: dict[str, Path] = {}
    for name, path in packages.items():
        try:
            with path.open("rb") as deb:
                found = ar_members(deb, name)
                if any(member.endswith(_ZSTD) for member in found):
                    folder.mkdir(exist_ok=True)
                    written[name] = folder / path.name
                    _write(deb, found, written[name], _ROOM + _RATIO * path.stat().st_size)
        except (BadDeb, BadFrame) as error:
            raise HostileInput(
                f"malformed Debian package: {name}", got=str(error), next_step="report it to the archive"
            ) from error
    return written


def _write(deb: IO[bytes], found: Mapping[str, tuple[int, int]], path: Path, room: int) -> None:
    with path.open("xb") as out:
        out.write(MAGIC)
        for name, (offset, size) in found.items():
            member = Part(deb, offset, size)
            if not name.endswith(_ZSTD):
                out.write(ar_header(name, size))
                shutil.copyfileobj(member, out, _BLOCK)
            else:
                start = out.tell()
                out.write(ar_header(name, 0))
                size = _decompress(member, out, room)
                out.seek(start)
                out.write(ar_header(name.removesuffix(".zst"), size))
                out.seek(0, os.SEEK_END)
            out.write(b"\n" * (size % 2))


def _decompress(member: Part, out: IO[bytes], room: int) -> int:
    """Returns how many bytes came out."""
    size = 0
    stream = io.BufferedReader(Frames(io.BufferedReader(member, _BLOCK)), _BLOCK)
    while data := stream.read(_BLOCK):
        size += len(data)
        if size > room:
            raise BadDeb(f"it unpacks to far more than its size, to over {room} bytes")
        out.write(data)
    return size
