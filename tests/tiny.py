"""A family so small that it is locked in a second: a signed archive of three packages and an index of tiny wheels."""

from __future__ import annotations

import hashlib
import io
import lzma
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pysequoia

from builder.platforms import NATIVE
from tests.loopback import Service

DEBS = {"libc6": "2.36-9", "python3.11-minimal": "3.11.2-6", "python3.11": "3.11.2-6"}
MANIFEST = f"""
[project]
name = "tiny"
platforms = ["{NATIVE}"]

[archives.toy]
suites = ["stable"]
keyring = "keys.gpg"

[layouts.plain]
user = "somebody"
uid = 1000
gid = 0
home = "/home/somebody"

[images.base]
from = "archive:toy"
layout = "plain"
apt = ["libc6", "python3.11", "python3.11-minimal"]
python = {{ from = "apt", prefix = "/opt/venv" }}
"""


def archive(service: Service, project: Path) -> None:
    """Publish a suite of packages, which hold nothing, and write its keyring beside the manifest."""
    key = pysequoia.Tsk.generate("Toy <toy@example.org>")
    (project / "keys.gpg").write_bytes(bytes(key.extract_certificate()))
    rows = []
    for name, version in DEBS.items():
        data, path = f"{name} {version}".encode(), f"pool/{name}.deb"
        service.write(path, data)
        rows += [f"Package: {name}", f"Version: {version}", "Architecture: all", f"Filename: {path}"]
        rows += [f"Size: {len(data)}", f"SHA256: {hashlib.sha256(data).hexdigest()}", ""]
    architecture = NATIVE.partition("/")[2]
    plain = f"main/binary-{architecture}/Packages"
    text = "\n".join(rows).encode()
    files = {plain: text, f"{plain}.xz": lzma.compress(text)}
    said = ["Suite: stable", "Codename: stable", "Date: Sat, 11 Jul 2026 10:16:37 UTC", "SHA256:"]
    for path, data in files.items():
        service.write(f"dists/stable/{path}", data)
        said.append(f" {hashlib.sha256(data).hexdigest()} {len(data)} {path}")
    release = "\n".join(said) + "\n"
    signed = pysequoia.sign(key.signer(), release.encode(), mode=pysequoia.SignatureMode.CLEAR)
    service.write("dists/stable/InRelease", signed)


def wheel(name: str, version: str, requires: Sequence[str] = ()) -> tuple[str, str, bytes]:
    """A wheel with nothing but metadata: name, file name, bytes."""
    stem = f"{name.replace('-', '_')}-{version}"
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
        lines += [f"Requires-Dist: {one}" for one in requires]
        for path, text in (
            ("METADATA", "\n".join(lines) + "\n"),
            ("WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"),
            ("RECORD", ""),
        ):
            file.writestr(zipfile.ZipInfo(f"{stem}.dist-info/{path}", (2026, 1, 1, 0, 0, 0)), text)
    return name, f"{stem}-py3-none-any.whl", out.getvalue()
