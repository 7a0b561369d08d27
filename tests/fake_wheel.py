"""Tiny wheels, sound ones and hostile ones."""

from __future__ import annotations

import base64
import hashlib
import io
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

DIST = "fake-1.0.dist-info"
NAME = "fake-1.0-py3-none-any.whl"
METADATA = b"Metadata-Version: 2.1\nName: fake\nVersion: 1.0\n"
WHEEL = b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def claim(data: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def record(files: Mapping[str, bytes]) -> bytes:
    rows = [f"{name},{claim(data)},{len(data)}" for name, data in files.items()]
    return "\n".join([*rows, f"{DIST}/RECORD,,", ""]).encode()


def contents(files: Mapping[str, bytes], *, recorded: bytes | None = None) -> dict[str, bytes]:
    """All members of a wheel with these files, metadata and RECORD included."""
    found = {**files, f"{DIST}/METADATA": METADATA, f"{DIST}/WHEEL": WHEEL}
    return {**found, f"{DIST}/RECORD": record(found) if recorded is None else recorded}


def wheel(path: Path, files: Mapping[str, bytes], *, recorded: bytes | None = None) -> Path:
    """A sound wheel, unless `recorded` says otherwise; names ending in `*` are executable."""
    members = contents({name.rstrip("*"): data for name, data in files.items()}, recorded=recorded)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0))
            info.external_attr = (0o755 if f"{name}*" in files else 0o644) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
    return path


class Forge:
    """Writes a zip archive byte by byte, so that its headers may lie."""

    def __init__(self) -> None:
        self._out = io.BytesIO()
        self._directory: list[bytes] = []

    def add(
        self,
        name: str | bytes,
        data: bytes,
        *,
        local_name: bytes | None = None,
        flags: int = 0,
        method: int = 8,
        crc: int | None = None,
        size: int | None = None,
        packed: bytes | None = None,
        packed_size: int | None = None,
        mode: int = 0o100644,
        at: int | None = None,
    ) -> int:
        """Add a member; every claim may differ from what is there. `at` points to another member's header instead."""
        raw = name.encode() if isinstance(name, str) else name
        if packed is None:
            packer = zlib.compressobj(6, zlib.DEFLATED, -15)
            packed = packer.compress(data) + packer.flush() if method == 8 else data
        crc = zlib.crc32(data) if crc is None else crc
        size = len(data) if size is None else size
        length = len(packed) if packed_size is None else packed_size
        offset = self._out.tell() if at is None else at
        flags |= 0 if raw.isascii() else 0x800
        head = struct.pack("<HHHHHIII", 20, flags, method, 0, 0x5C21, crc, length, size)
        if at is None:
            local = raw if local_name is None else local_name
            self._out.write(b"PK\x03\x04" + head + struct.pack("<HH", len(local), 0) + local + packed)
        central = struct.pack("<HHHHHII", len(raw), 0, 0, 0, 0, (mode & 0xFFFF) << 16, offset)
        self._directory.append(b"PK\x01\x02" + struct.pack("<H", 0x314) + head + central + raw)
        return offset

    def sound(self, files: Mapping[str, bytes], *, recorded: bytes | None = None) -> None:
        """Add metadata and a RECORD that vouches for these files, without the files."""
        for name, data in contents(files, recorded=recorded).items():
            if name not in files:
                self.add(name, data)

    def save(self, path: Path) -> Path:
        start = self._out.tell()
        directory = b"".join(self._directory)
        count = len(self._directory)
        end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, count, count, len(directory), start, 0)
        path.write_bytes(self._out.getvalue() + directory + end)
        return path


def forged(path: Path, name: str, data: bytes = b"x = 1\n", recorded_as: str | None = None, **lies: object) -> Path:
    """A wheel with one more member, which RECORD vouches for, whose headers may lie."""
    forge = Forge()
    forge.add(name, data, **lies)  # type: ignore[arg-type]
    forge.sound({recorded_as or name: data})
    return forge.save(path)
