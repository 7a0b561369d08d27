"""From an archive's name to its packages: InRelease, signature, suite, time, Packages by digest.

    places ─► InRelease ─► signed text ─► suite, Date, Valid-Until ─┬─► Packages.xz by its digest ─► Universe
       ▲                                                            │
       └──────────── next place, whatever was wrong here ◄──────────┘

A place that fails is passed over and the next one asked; only when all have failed is there an error, the
most telling of theirs. Nothing is believed for where it came from, so a worse place can make a lock fail but
not wrong.

Packages files lie in the store under their digest: the second run fetches the InRelease files only.
"""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from threading import Lock as Mutex

from builder import limits
from builder.errors import HostileInput, StackbuildError, Unreachable
from builder.kinds.apt import keyring, release
from builder.kinds.apt.places import Host, places, variable
from builder.kinds.apt.release import Listed, Release, TooNewError
from builder.kinds.apt.universe import Index, Universe
from builder.manifest.settings import Archive
from builder.net import Client
from builder.redaction import redact
from builder.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What reading an archive takes, the same for all of a run.

    Attributes:
        folder: the manifest's, for keyrings of the project.
        now: the clock, UTC; only compared with Valid-Until.
    """

    client: Client
    store: Store
    host: Host
    folder: Path
    now: datetime


@dataclass(frozen=True, slots=True)
class _Slot:
    mutex: Mutex = field(default_factory=Mutex)
    found: list[Universe] = field(default_factory=list)


class Universes:
    """Universes by archive, architecture and cutoff, each made once, however many threads ask."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._mutex = Mutex()
        self._slots: dict[tuple[Archive, str, datetime | None], _Slot] = {}

    def get(self, archive: Archive, architecture: str, cutoff: datetime | None) -> Universe:
        """The packages of an archive for one architecture, none of a Release later than `cutoff`.

        Raises:
            StackbuildError: no place serves a suite as it must be.
        """
        with self._mutex:
            slot = self._slots.setdefault((archive, architecture, cutoff), _Slot())
        with slot.mutex:
            if not slot.found:
                slot.found.append(read(self._means, archive, architecture, cutoff))
            return slot.found[0]


def read(means: Means, archive: Archive, architecture: str, cutoff: datetime | None) -> Universe:
    """Fetch and verify every suite of an archive.

    Raises:
        StackbuildError: no place serves a suite as it must be.
    """
    indices: list[Index] = []
    for suite in archive.suites:
        found, bases = _release(means, archive, suite, cutoff)
        for path in _index_paths(found, archive, architecture, suite):
            text = _index(means, found, bases, suite, path)
            indices.append(Index(suite=suite, release=found.stamp, text=text))
    return Universe(archive.name, indices)


def _release(means: Means, archive: Archive, suite: str, cutoff: datetime | None) -> tuple[Release, tuple[str, ...]]:
    """The first Release file that stands every test, and the places, the one that served it first."""
    keys = keyring.load(archive.keyring, means.folder)
    bases = places(archive, suite, means.host, moments=(cutoff or means.now,))
    failed: list[StackbuildError] = []
    for base in bases:
        url = f"{base}/dists/{suite}/InRelease"
        try:
            data = means.client.get(url, limit=limits.RELEASE)
            found = release.parse(keyring.signed_text(data, keys, where=redact(url)), where=redact(url))
            release.refuse_other_suite(found, suite, where=redact(url))
            release.refuse_untimely(found, cutoff=cutoff, now=means.now, where=redact(url))
        except StackbuildError as error:
            failed.append(error)
            continue
        return found, (base, *(one for one in bases if one != base))
    raise _none(archive, suite, cutoff, failed)


def _none(archive: Archive, suite: str, cutoff: datetime | None, failed: list[StackbuildError]) -> StackbuildError:
    """One error for all places: tampering before lateness before silence."""
    what = f"archive {archive.name} has no usable {suite}"
    next_step = f"set {variable(archive.name)} to a mirror, then the same command again"
    if not failed:
        return Unreachable(f"{what}: no place is known", next_step=next_step)
    too_new = [one for one in failed if isinstance(one, TooNewError)]
    hostile = [one for one in failed if isinstance(one, HostileInput)]
    told = "\n".join(f"{one.what}: {one.where}".rstrip(": ") for one in failed)
    if hostile:
        first = hostile[0]
        return HostileInput(
            f"{what}: {first.what}",
            where=told,
            expected=first.expected,
            got=first.got,
            next_step=first.next_step or next_step,
        )
    if too_new:
        return Unreachable(
            f"{what} as of {cutoff:%Y-%m-%d}",
            where=told,
            expected=too_new[0].expected,
            got=f"{too_new[0].got}; the snapshot of that day cannot be reached",
            next_step=f"reach Debian's snapshot archive, move exclude-newer, or add {archive.name} to exempt",
        )
    return Unreachable(what, where=told, next_step=next_step)


def _index_paths(found: Release, archive: Archive, architecture: str, suite: str) -> Iterator[str]:
    """Paths below `dists/<suite>/`, the best compression that Release lists, component by component."""
    parts = [architecture, "all"] if found.all_apart else [architecture]
    for component in archive.components:
        for part in parts:
            plain = f"{component}/binary-{part}/Packages"
            path = next((plain + end for end in (".xz", ".gz", "") if plain + end in found.files), None)
            if path is not None:
                yield path
            elif part == architecture:
                raise StackbuildError(
                    f"suite {suite} has no {component} for {architecture}",
                    where=f"archive {archive.name}, Release of {found.stamp}",
                    expected=plain,
                    got="no such file in its Release",
                    next_step="correct components or platforms in stacks.toml",
                )


def _index(means: Means, found: Release, bases: tuple[str, ...], suite: str, path: str) -> str:
    """The text of one Packages file, from the store or from the first place that has it."""
    listed = found.files[path]
    plain = found.files.get(path.rpartition(".")[0])
    for one in (listed, plain or listed):
        if one.size > limits.PACKAGES:
            raise _too_long(f"{suite} {path}", f"{one.size:,} bytes, by its Release")
    stored = means.store.source(listed.digest)
    if not stored.exists():
        with means.store.new_source() as incoming:
            means.client.download(
                _index_urls(found, bases, suite, path), digest=listed.digest, size=listed.size, into=incoming
            )
    data = means.store.checked(stored).read_bytes()
    try:
        return _expanded(data, path, plain).decode()
    except (lzma.LZMAError, zlib.error, UnicodeDecodeError) as error:
        raise HostileInput(f"unreadable package index: {suite} {path}", got=str(error)) from None


def _index_urls(found: Release, bases: tuple[str, ...], suite: str, path: str) -> list[str]:
    """By digest first: a mirror in the middle of an update still has the old file under that name."""
    folder = path.rpartition("/")[0]
    names = [f"{folder}/by-hash/SHA256/{found.files[path].digest.hex}"] if found.by_hash else []
    names.append(path)
    return [f"{base}/dists/{suite}/{name}" for base in bases for name in names]


def _too_long(name: str, got: str) -> HostileInput:
    return HostileInput(
        f"package index is too long: {name}",
        expected=f"at most {limits.PACKAGES:,} bytes, packed and unpacked",
        got=got,
        next_step="leave its suite or component out in stacks.toml",
    )


def _expanded(data: bytes, path: str, plain: Listed | None) -> bytes:
    """Decompress, but never more than Release says the plain file has."""
    limit = plain.size if plain is not None else limits.PACKAGES
    if path.endswith(".xz"):
        unpacker = lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=256 << 20)
        result, ended = unpacker.decompress(data, limit + 1), unpacker.eof
    elif path.endswith(".gz"):
        inflater = zlib.decompressobj(wbits=31)
        result, ended = inflater.decompress(data, limit + 1), inflater.eof
    else:
        return data
    if plain is None and len(result) > limit:
        raise _too_long(path, "more than that")
    if len(result) > limit or not ended or (plain is not None and len(result) != plain.size):
        raise HostileInput(
            f"package index of another size: {path}", expected=f"{limit} bytes", got=f"{len(result)} bytes"
        )
    return result
