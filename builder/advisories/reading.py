"""A database as OSV publishes it, in files: the entries of a zip, of a folder of JSON, of JSON lines.

    all.zip            a member for each entry
    FOLDER             any of the others in it, at whatever depth; hidden files and links are passed over
    NAME.json          one entry
    NAME.jsonl         an entry a line

All of it is hostile: what is unpacked is counted as it comes, not as a directory says, and no name becomes a path.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from builder.advisories.entry import LONGEST
from builder.digest import Digest
from builder.errors import HostileInput, StackbuildError
from builder.headers import bounded

_DIRECTORY: Final = 512 << 20
_SUFFIXES: Final = (".zip", ".json", ".jsonl")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a whole database may have: entries, and bytes when it is unpacked. All of OSV had 0.6 million in 2026."""

    entries: int = 4_000_000
    size: int = 32 << 30


def files(place: Path) -> tuple[Path, ...]:
    """The files of a database, sorted.

    Raises:
        StackbuildError: there is none, or of none of these sorts.
    """
    if place.is_dir():
        found = sorted(Path(folder) / name for folder, _, names in os.walk(place) for name in names)
        found = [
            one for one in found if one.suffix in _SUFFIXES and not one.name.startswith(".") and not one.is_symlink()
        ]
        if found:
            return tuple(found)
        raise StackbuildError(
            f"no database of advisories: {place}", expected="a folder with .zip, .json or .jsonl files of OSV entries"
        )
    if not place.is_file():
        raise StackbuildError(f"no such file or folder: {place}", next_step="name a file or folder of OSV entries")
    if place.suffix not in _SUFFIXES:
        raise StackbuildError(
            f"no database of advisories: {place}", expected="all.zip, NAME.json, NAME.jsonl or a folder with such files"
        )
    return (place,)


def digest(place: Path, found: tuple[Path, ...]) -> Digest:
    """What the files hold, as one digest: of their digests and what they are called below `place`."""
    hasher = hashlib.sha256()
    for path in found:
        name = path.relative_to(place).as_posix() if path != place else ""
        hasher.update(f"{Digest.of_file(path)} {len(os.fsencode(name))} ".encode() + os.fsencode(name))
    return Digest("sha256:" + hasher.hexdigest())


def entries(found: tuple[Path, ...], limits: Limits) -> Iterator[tuple[str, bytes]]:
    """Where each entry stands, for people, and its bytes.

    Raises:
        HostileInput: more than the limits, or a zip that is none.
    """
    count = size = 0
    for path in found:
        for where, data in _of(path):
            count, size = count + 1, size + len(data)
            if count > limits.entries or size > limits.size:
                raise HostileInput(
                    "a database of advisories is larger than any",
                    where=str(path),
                    expected=f"at most {limits.entries} entries and {limits.size} bytes",
                )
            yield where, data


def _of(path: Path) -> Iterator[tuple[str, bytes]]:
    if path.suffix == ".zip":
        yield from _zipped(path)
        return
    with path.open("rb") as stream:
        if path.suffix == ".json":
            yield str(path), stream.read(LONGEST + 1)
            return
        number = 0
        while line := stream.readline(LONGEST + 1):
            number += 1
            if len(line) > LONGEST:
                raise HostileInput("an advisory is too long", where=f"{path}:{number}")
            if line.strip():
                yield f"{path}:{number}", line


def _zipped(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        with path.open("rb") as file, zipfile.ZipFile(bounded(file, _DIRECTORY)) as archive:
            for number, member in enumerate(archive.infolist(), 1):
                if member.filename.endswith(".json"):
                    with archive.open(member) as stream:
                        yield f"{path}, member {number}", _limited(stream)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError) as error:
        raise HostileInput("not a zip, or a damaged one", where=str(path), got=str(error)[:100]) from None


def _limited(stream: IO[bytes]) -> bytes:
    """At most one byte more than an entry has: whatever a bomb would unpack to, it is not unpacked."""
    return stream.read(LONGEST + 1)
