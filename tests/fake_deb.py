"""Tiny Debian packages: sound ones by dpkg-deb, hostile ones byte by byte."""

from __future__ import annotations

import io
import lzma
import os
import shutil
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.tools import absent

CONTROL = "Package: fake\nVersion: 1.0\nArchitecture: all\nMaintainer: Nobody <nobody@example.com>\nDescription: fake\n"

EPOCH = {"SOURCE_DATE_EPOCH": "1700000000"}
"""What dpkg-deb takes for the time of every file."""


def build(folder: Path, name: str, files: Mapping[str, str], **scripts: str) -> Path:
    """A sound package, made by dpkg-deb. `scripts`: control members by name; `fields` adds to the control file."""
    if shutil.which("dpkg-deb") is None:
        absent("dpkg-deb is not installed")
    root = folder / f"{name}-root"
    (root / "DEBIAN").mkdir(parents=True)
    text = CONTROL.replace("Package: fake", f"Package: {name}") + scripts.pop("fields", "")
    (root / "DEBIAN/control").write_text(text)
    for script, body in scripts.items():
        (root / "DEBIAN" / script).write_text(body)
        (root / "DEBIAN" / script).chmod(0o755)
    for path, body in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(body)
    target = folder / f"{name}.deb"
    environ = {**os.environ, **EPOCH}
    command = ["dpkg-deb", "--root-owner-group", "-Zxz", "--build", str(root), str(target)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environ)
    return target


def member(name: str, kind: bytes = tarfile.REGTYPE, *, data: bytes = b"", link: str = "") -> tarfile.TarInfo:
    """A member of a data archive; `data` goes beside it to `tar`."""
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname, info.mode = kind, len(data), link, 0o755
    info.devmajor, info.devminor = 8, 0
    return info


def tar(members: Sequence[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def ar(members: Sequence[tuple[str, bytes]], *, sizes: Mapping[str, str] | None = None) -> bytes:
    """An ar archive (deb(5)); `sizes` lie."""
    out = b"!<arch>\n"
    for name, data in members:
        size = (sizes or {}).get(name, str(len(data)))
        out += f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{size:<10}`\n".encode() + data + b"\n" * (len(data) % 2)
    return out


def forge(
    files: Sequence[tuple[tarfile.TarInfo, bytes]], *, control: str = CONTROL, data: bytes | None = None
) -> bytes:
    """A package whose data archive is whatever the test says."""
    text = control.encode()
    packed = lzma.compress(tar(files)) if data is None else data
    members = [(member("./control", data=text), text)]
    return ar([("debian-binary", b"2.0\n"), ("control.tar.xz", lzma.compress(tar(members))), ("data.tar.xz", packed)])
