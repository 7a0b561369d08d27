"""Write what the example is made of: a base image, a conda channel, package indexes. Writes the same bytes each time.

python examples/variants/make.py
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
THEN = 1767225600
"""2026-01-01 in UTC: the only time there is."""
PYTHON = "3.12.11"


def main() -> None:
    base()
    channel()
    wheels()


def base() -> None:
    """An image in the OCI layout, for both platforms, with a stand-in for conda's Python."""
    record = {"name": "python", "version": PYTHON, "build": "0", "build_number": 0, "subdir": "noarch", "depends": []}
    layer = tar(
        {
            "opt/conda/bin/python3.12": b"#!/bin/sh\necho 'this example has no Python' >&2\nexit 1\n",
            f"opt/conda/conda-meta/python-{PYTHON}-0.json": text(record | {"channel": "tiny", "files": []}),
        }
    )
    packed = gzip.compress(layer, mtime=0)
    manifests = []
    for architecture in ("amd64", "arm64"):
        config = {
            "architecture": architecture,
            "os": "linux",
            "config": {"Env": ["PATH=/opt/conda/bin:/usr/bin:/bin"], "User": "1000"},
            "rootfs": {"type": "layers", "diff_ids": [digest(layer)]},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": blob(text(config), "application/vnd.oci.image.config.v1+json"),
            "layers": [blob(packed, "application/vnd.oci.image.layer.v1.tar+gzip")],
        }
        platform = {"architecture": architecture, "os": "linux"}
        manifests.append(blob(text(manifest), str(manifest["mediaType"])) | {"platform": platform})
    kind = "application/vnd.oci.image.index.v1+json"
    whole = blob(text({"schemaVersion": 2, "mediaType": kind, "manifests": manifests}), kind)
    named = whole | {"annotations": {"org.opencontainers.image.ref.name": "1.0"}}
    write("base/index.json", text({"schemaVersion": 2, "manifests": [named]}))
    write("base/oci-layout", text({"imageLayoutVersion": "1.0.0"}))


def blob(data: bytes, kind: str) -> dict[str, Any]:
    write(f"base/blobs/{digest(data).replace(':', '/')}", data)
    return {"mediaType": kind, "digest": digest(data), "size": len(data)}


def channel() -> None:
    """Two packages: one for all platforms, one with a CPU and a CUDA build."""
    found: dict[str, dict[str, Any]] = {"noarch": {}, "linux-64": {}, "linux-aarch64": {}}
    theme = {"share/theme/theme.json": b'{"colour": "green"}\n'}
    conda(found, "noarch", {"name": "theme", "version": "1.0", "build": "0", "noarch": "generic"}, theme)
    for subdir in ("linux-64", "linux-aarch64"):
        builds: dict[str, list[str]] = {"cpu_0": [], "cuda130_1": ["__cuda >=13.0"]}
        for build, depends in builds.items():
            about: dict[str, Any] = {"name": "matmul", "version": "2.1", "build": build, "depends": depends}
            conda(found, subdir, about, {"lib/matmul.txt": f"{build} for {subdir}, below /opt/prefix\n".encode()})
    for subdir, packages in found.items():
        whole = {"info": {"subdir": subdir}, "packages": packages, "packages.conda": {}, "repodata_version": 1}
        write(f"channel/{subdir}/repodata.json", text(whole))


def conda(found: dict[str, dict[str, Any]], subdir: str, about: dict[str, Any], files: Mapping[str, bytes]) -> None:
    """A package in the older format: a .tar.bz2 with what it is in `info/`."""
    number = int(about["build"].rpartition("_")[2])
    index = {"depends": [], "subdir": subdir, "build_number": number, "timestamp": THEN * 1000} | about
    rows = []
    for path, data in files.items():
        row: dict[str, Any] = {"_path": path, "path_type": "hardlink", "sha256": hashlib.sha256(data).hexdigest()}
        row |= {"size_in_bytes": len(data)}
        if b"/opt/prefix" in data:
            row |= {"file_mode": "text", "prefix_placeholder": "/opt/prefix"}
        rows.append(row)
    members = {"info/index.json": text(index), "info/paths.json": text({"paths": rows, "paths_version": 1})}
    members["info/files"] = "".join(f"{path}\n" for path in files).encode()
    data = bz2.compress(tar({**members, **files}))
    name = f"{about['name']}-{about['version']}-{about['build']}.tar.bz2"
    write(f"channel/{subdir}/{name}", data)
    sums = {"md5": hashlib.md5(data).hexdigest(), "sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    found[subdir][name] = index | sums


def wheels() -> None:
    """One package for everybody, and one that is built three times under one name."""
    wheel("common", "greeting", "1.2", 'def greet() -> str:\n    return "hello"\n')
    wheel("cpu", "tensors", "3.0", 'DEVICE = "cpu"\n')
    wheel("cuda", "tensors", "3.0", 'DEVICE = "cuda"\n', "greeting>=1")
    wheel("gaudi", "tensors", "2.9", 'DEVICE = "hpu"\n')


def wheel(index: str, name: str, version: str, code: str, *requires: str) -> None:
    """A pure wheel (PEP 427), on the page of an index (PEP 503)."""
    folder = f"{name}-{version}.dist-info"
    about = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    about += [f"Requires-Dist: {one}" for one in requires]
    members = {
        f"{name}.py": code.encode(),
        f"{folder}/METADATA": "".join(f"{line}\n" for line in about).encode(),
        f"{folder}/WHEEL": b"Wheel-Version: 1.0\nGenerator: make.py\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = [f"{path},sha256={record_digest(data)},{len(data)}" for path, data in members.items()]
    members[f"{folder}/RECORD"] = "".join(f"{row}\n" for row in [*rows, f"{folder}/RECORD,,"]).encode()
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for path, data in members.items():
            archive.writestr(zipfile.ZipInfo(path, (2026, 1, 1, 0, 0, 0)), data, zipfile.ZIP_DEFLATED)
    file = f"{name}-{version}-py3-none-any.whl"
    write(f"wheels/{index}/{name}/{file}", stream.getvalue())
    link = f'<a href="{file}#sha256={hashlib.sha256(stream.getvalue()).hexdigest()}">{file}</a>'
    write(f"wheels/{index}/{name}/index.html", f"<!DOCTYPE html>\n<html><body>{link}</body></html>\n".encode())


def record_digest(data: bytes) -> str:
    from base64 import urlsafe_b64encode

    return urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def tar(files: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path, data in files.items():
            member = tarfile.TarInfo(path)
            member.size, member.mtime, member.mode = len(data), THEN, 0o755 if "/bin/" in path else 0o644
            archive.addfile(member, io.BytesIO(data))
    return stream.getvalue()


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def text(value: object) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()


def write(path: str, data: bytes) -> None:
    place = HERE / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data)


if __name__ == "__main__":
    main()
