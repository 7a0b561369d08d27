"""A wheel → entries, without reading its members: they stay deflated until the layer is written.

What goes where is decided by `installer`, the PyPA's own library (PEP 427, Binary distribution format); this module
is its source and its destination. The source opens no member, it hands out where the member lies; the destination
writes nothing, it collects entries.

Foreign claims are checked by `archive.py` as far as the zip's directory tells, here as far as RECORD does (it vouches
for every file), and by `layer.py` when the bytes pass through: sizes, CRC-32, RECORD's digests, the end of each stream.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import os
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from installer import install
from installer.destinations import WheelDestination
from installer.records import RecordEntry
from installer.scripts import Script
from installer.sources import WheelContentElement, WheelFile
from installer.utils import SCHEME_NAMES, Scheme, fix_shebang

from builder.errors import HostileInput
from builder.headers import bounded
from builder.kinds.pip.archive import MALFORMED, inflated, limited, malformed, members
from builder.kinds.pip.scheme import FILE_MODE, PROGRAM_MODE, Environment, cache_path, has_bytecode
from builder.tree import Bytes, Content, Entry, File, Member, safe

_UNSIGNED = ("RECORD", "RECORD.jws", "RECORD.p7s")


@dataclass(frozen=True, slots=True)
class Laid:
    """A wheel's entries, and the sources that have bytecode: (path in the image, content)."""

    entries: tuple[Entry, ...]
    sources: tuple[tuple[str, Member], ...] = ()


def lay(path: Path, name: str, filename: str, environment: Environment, bytecode: Mapping[str, Member | File]) -> Laid:
    """The tree of one wheel.

    Args:
        path: the wheel, its digest already checked.
        name: the package, as its pin names it; it owns the entries.
        filename: the wheel's own file name, which its tags and version come from.
        bytecode: path of a source in the image → its compiled form.

    Raises:
        HostileInput: the wheel is malformed or brings what no wheel may.
    """
    try:
        with path.open("rb") as stream, zipfile.ZipFile(bounded(stream)) as archive:
            limited(archive, path, filename)
            source = _Source(archive, filename, members(archive, path, filename))
            destination = _Destination(environment, name, filename, bytecode)
            install(source, destination, {"INSTALLER": b"stackbuild\n"})
    except MALFORMED as error:
        raise malformed(filename, error) from None
    return Laid(tuple(destination.entries.values()), tuple(destination.sources))


class _Source(WheelFile):
    """A wheel whose members are handed out as places, with the digest that RECORD claims."""

    def __init__(self, archive: zipfile.ZipFile, filename: str, members: dict[str, Member]) -> None:
        archive.filename = filename  # The library takes name and version from it; the store's name is a digest.
        super().__init__(archive)
        self._members = members
        self._filename = filename
        for name in (self.data_dir, *(f"{self.data_dir}/{scheme}" for scheme in SCHEME_NAMES)):
            if name in members:  # The library would look for its scheme without an end, or for the file's own name.
                raise HostileInput(f"a file where a wheel has a folder: {filename}", got=name)

    def read_dist_info(self, filename: str) -> str:
        return inflated(self._members[f"{self.dist_info_dir}/{filename}"]).decode()

    def get_contents(self) -> Iterator[WheelContentElement]:
        record = csv.reader(io.StringIO(self.read_dist_info("RECORD")))
        claims = {row[0]: row for row in record if len(row) == 3}
        unsigned = [f"{self.dist_info_dir}/{name}" for name in _UNSIGNED]
        missing = []
        for name, member in self._members.items():
            if name in unsigned:
                if name != unsigned[0]:
                    continue
                claim = [name, "", ""]
            elif name in claims and claims[name][1]:
                claim = claims[name]
                member = _with_digest(member, claim[1])
            else:
                missing.append(name)
                continue
            executable = bool((self._zipfile.getinfo(name).external_attr >> 16) & 0o111)
            yield (claim[0], claim[1], claim[2]), cast(BinaryIO, member), executable
        if missing:
            raise HostileInput(
                f"RECORD does not vouch for every file: {self._filename}",
                got=", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else ""),
                next_step="report it to the package's authors, and pin another version",
            )
        absent = [name for name in claims if name not in self._members and not name.endswith("/")]
        if absent:
            raise HostileInput(f"RECORD names files that are not there: {self._filename}", got=", ".join(absent[:3]))


def _with_digest(member: Member, claim: str) -> Member:
    algorithm, _, value = claim.partition("=")
    if algorithm != "sha256":
        raise HostileInput(f"RECORD uses {algorithm}: {member.name}", expected="sha256")
    digest = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
    if len(digest) != hashlib.sha256().digest_size:
        raise HostileInput(f"RECORD has no sha256 digest: {member.name}", got=claim)
    return Member(
        member.archive, member.offset, member.packed, member.size, member.crc, member.method, digest, member.name
    )


@dataclass
class _Destination(WheelDestination):
    """Collects entries where `installer` would write files."""

    environment: Environment
    name: str
    filename: str
    bytecode: Mapping[str, Member | File]
    entries: dict[str, Entry] = field(default_factory=dict)
    sources: list[tuple[str, Member]] = field(default_factory=list)

    def write_file(
        self, scheme: Scheme, path: str | os.PathLike[str], stream: BinaryIO, is_executable: bool
    ) -> RecordEntry:
        relative = safe(str(path), self.filename)
        folder = self.environment.folder(scheme, self.filename.split("-")[0])
        mode = PROGRAM_MODE if is_executable else FILE_MODE
        content: Member | Bytes
        content = cast("Member", stream) if isinstance(stream, Member) else Bytes(stream.read())
        record = RecordEntry(relative, None, content.size)
        if scheme == "scripts" and isinstance(content, Member):
            with fix_shebang(io.BytesIO(inflated(content)), self.environment.interpreter) as fixed:
                content, mode = Bytes(fixed.read()), PROGRAM_MODE
        full = f"{folder}/{relative}"
        self._add(Entry(full, "file", mode, content=content, owner=self.name))
        if scheme in {"purelib", "platlib"} and has_bytecode(relative) and isinstance(content, Member):
            self.sources.append((full, content))
            if (compiled := self.bytecode.get(full)) is not None:
                cached = cache_path(full, self.environment.python)
                self._add(Entry(cached, "file", FILE_MODE, content=compiled, owner=self.name))
        return record

    def write_script(self, name: str, module: str, attr: str, section: str) -> RecordEntry:
        script = Script(name, module, attr, section)  # type: ignore[arg-type]
        if safe(name, self.filename) != name or "/" in name:
            raise HostileInput(f"an entry point is no name of a program: {name!r}", where=self.filename)
        filename, data = script.generate(self.environment.interpreter, "posix")
        folder = self.environment.folder(Scheme("scripts"), "")
        self._add(Entry(f"{folder}/{filename}", "file", PROGRAM_MODE, content=Bytes(data), owner=self.name))
        return RecordEntry(filename, None, len(data))

    def finalize_installation(self, scheme: Scheme, record_file_path: str, records: object) -> None:
        """RECORD as installed: every path relative to site-packages, sorted (PEP 376)."""
        record = f"{self.environment.site}/{safe(record_file_path, self.filename)}"
        rows = []
        for path, entry in sorted(self.entries.items()):
            if path == record:
                continue
            shown = _relative(path, self.environment.site)
            if path.endswith(".pyc"):
                rows.append((shown, "", ""))
                continue
            assert entry.content is not None
            rows.append((shown, "sha256=" + _urlsafe(_digest(entry.content)), str(entry.content.size)))
        rows.append((_relative(record, self.environment.site), "", ""))
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        self.entries.pop(record, None)
        self._add(Entry(record, "file", FILE_MODE, content=Bytes(text.getvalue().encode()), owner=self.name))

    def _add(self, entry: Entry) -> None:
        if entry.path in self.entries:
            raise HostileInput(f"a wheel lays one path twice: {entry.path}", where=self.filename)
        self.entries[entry.path] = entry


def _relative(path: str, site: str) -> str:
    if path.startswith(site + "/"):
        return path[len(site) + 1 :]
    ups = PurePosixPath(site).parts
    own = PurePosixPath(path).parts
    shared = 0
    while shared < min(len(ups), len(own)) and ups[shared] == own[shared]:
        shared += 1
    return "/".join([".."] * (len(ups) - shared) + list(own[shared:]))


def _digest(content: Content) -> bytes:
    if isinstance(content, Member):
        return content.digest or hashlib.sha256(inflated(content)).digest()
    if isinstance(content, Bytes):
        return hashlib.sha256(content.data).digest()
    raise AssertionError("a wheel's own files lie in the wheel or in memory")


def _urlsafe(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
