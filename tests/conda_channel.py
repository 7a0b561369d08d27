"""conda channels on the loopback interface or in a folder, with small packages that the tests make.

A `Build` is a package as its repodata describes it. By default its file is a real `.conda` of metadata and a few
files; `data` gives other bytes. `family` is what most tests want: two channels of a small world with a Python, a
native library, noarch packages and builds for CUDA, on two platforms.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import tarfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import zstandard

EARLY = 1_767_225_600_000
"""2026-01-01, when packages were built unless they say otherwise; milliseconds."""

SUBDIRS = ("linux-64", "linux-aarch64", "noarch")


@dataclass(frozen=True, kw_only=True)
class Build:
    """One build of a package.

    Attributes:
        files: path below the prefix → content.
        extra: members of the repodata entry that replace or join the usual ones; None removes one.
        data: the file's bytes, where they are to be others.
    """

    name: str
    version: str
    build: str = "0"
    depends: tuple[str, ...] = ()
    constrains: tuple[str, ...] = ()
    subdir: str = "linux-64"
    noarch: str = ""
    timestamp: int | None = EARLY
    files: Mapping[str, bytes] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)
    suffix: str = ".conda"
    data: bytes | None = None

    @property
    def file(self) -> str:
        return f"{self.name}-{self.version}-{self.build}{self.suffix}"

    @cached_property
    def content(self) -> bytes:
        return archive(self) if self.data is None else self.data

    @property
    def index(self) -> dict[str, Any]:
        """`info/index.json`."""
        number = re.search(r"(\d+)$", self.build)
        found: dict[str, Any] = {
            "name": self.name,
            "version": self.version,
            "build": self.build,
            "build_number": int(number[1]) if number else 0,
            "subdir": self.subdir,
            "depends": list(self.depends),
            "constrains": list(self.constrains),
        }
        found |= {"noarch": self.noarch} if self.noarch else {}
        return found | ({"timestamp": self.timestamp} if self.timestamp is not None else {})

    @property
    def entry(self) -> dict[str, Any]:
        """As in repodata.json."""
        data = self.content
        found = self.index | {
            "size": len(data),
            "md5": hashlib.md5(data).hexdigest(),
            "sha256": hashlib.sha256(data).hexdigest(),
        }
        return {key: value for key, value in (found | dict(self.extra)).items() if value is not None}


def archive(build: Build) -> bytes:
    """A package in the format that its suffix says, with the metadata that conda's own tools read."""
    paths = [
        {
            "_path": path,
            "path_type": "hardlink",
            "sha256": hashlib.sha256(data).hexdigest(),
            "size_in_bytes": len(data),
        }
        for path, data in sorted(build.files.items())
    ]
    info = {
        "info/index.json": json.dumps(build.index).encode(),
        "info/paths.json": json.dumps({"paths": paths, "paths_version": 1}).encode(),
        "info/files": "".join(f"{path}\n" for path in sorted(build.files)).encode(),
    }
    if build.noarch == "python":
        link = {"noarch": {"type": "python"}, "package_metadata_version": 1}
        info["info/link.json"] = json.dumps(link).encode()
    if build.suffix == ".tar.bz2":
        return _tar({**info, **build.files}, "w:bz2")
    out = io.BytesIO()
    stem = build.file.removesuffix(".conda")
    with zipfile.ZipFile(out, "w") as whole:
        for name, data in (
            ("metadata.json", b'{"conda_pkg_format_version": 2}'),
            (f"pkg-{stem}.tar.zst", zstandard.compress(_tar(build.files, "w"))),
            (f"info-{stem}.tar.zst", zstandard.compress(_tar(info, "w"))),
        ):
            whole.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), data)
    return out.getvalue()


def _tar(files: Mapping[str, bytes], mode: Any) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), 0o755 if name.startswith("bin/") else 0o644
            tar.addfile(member, io.BytesIO(data))
    return out.getvalue()


def distribution(name: str, version: str, *, folder: str = "site-packages") -> dict[str, bytes]:
    """The files of a Python distribution, as a noarch package has them."""
    stem = f"{folder}/{name}-{version}.dist-info"
    module = f"{folder}/{name.lower()}.py"
    return {
        module: f"version = {version!r}\n".encode(),
        f"{stem}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{stem}/RECORD": b"",
    }


def tree(builds: Iterable[Build], subdirs: Iterable[str] = SUBDIRS, *, packed: bool = False) -> dict[str, bytes]:
    """The files of a channel by their paths below it; of each subdir, `repodata.json` too, or only its `.zst`."""
    found: dict[str, bytes] = {}
    repodata: dict[str, Any] = {
        one: {"info": {"subdir": one}, "packages": {}, "packages.conda": {}, "repodata_version": 1} for one in subdirs
    }
    for one in builds:
        found[f"{one.subdir}/{one.file}"] = one.content
        repodata[one.subdir]["packages.conda" if one.suffix == ".conda" else "packages"][one.file] = one.entry
    for subdir, document in repodata.items():
        data = json.dumps(document, sort_keys=True).encode()
        name = f"{subdir}/repodata.json"
        found.update({f"{name}.zst": zstandard.compress(data)} if packed else {name: data})
    return found


def write(folder: Path, files: Mapping[str, bytes]) -> str:
    """Put a channel into a folder; its URL."""
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder.as_uri()


def family() -> dict[str, dict[str, bytes]]:
    """Two channels, `main` and `extra`, of one small world."""
    main: list[Build] = []
    for subdir in ("linux-64", "linux-aarch64"):
        main += _native(subdir)
    main += [
        Build(
            name="tiny-lab",
            version=version,
            build="pyhd_0",
            depends=("python >=3.10", "tiny-server >=1,<3", "__unix"),
            subdir="noarch",
            noarch="python",
            files=distribution("Tiny_Lab", version),
        )
        for version in ("4.0.0", "4.5.7")
    ]
    main += [
        Build(
            name="tiny-server",
            version=version,
            build="pyhd_0",
            depends=("python >=3.10",),
            subdir="noarch",
            noarch="python",
            files=distribution("tiny_server", version),
        )
        for version in ("1.0", "2.0", "3.0")
    ]
    extra = [
        Build(name="libtiny", version="9.0", build="h1_0"),
        Build(name="only-extra", version="1.0", build="h1_0", depends=("libtiny >=1.2",)),
        Build(name="only-extra", version="1.0", build="h1_0", depends=("libtiny >=1.2",), subdir="linux-aarch64"),
    ]
    return {"main": tree(main), "extra": tree(extra)}


def _native(subdir: str) -> Iterator[Build]:
    """What has a build for each platform."""
    for version in ("1.2.0", "1.3.0"):
        yield Build(
            name="libtiny",
            version=version,
            build="h1_0",
            depends=("__glibc >=2.17,<3.0.a0",),
            subdir=subdir,
            files={f"lib/libtiny.so.{version}": b"\x7fELF /opt/placeholder " + subdir.encode()},
        )
    for version in ("3.11.9", "3.12.10", "3.12.11"):
        yield Build(
            name="python",
            version=version,
            build="h2_1_cpython",
            depends=("libtiny >=1.2,<2.0a0",),
            constrains=(f"python_abi {version.rpartition('.')[0]}.* *_cp{version[0]}{version[2:4]}",),
            subdir=subdir,
            files={"bin/python3": b"#!/bin/sh\necho Python\n"},
        )
    for suffix, build, needs in (
        ("cpu", "cpu_py312_0", ()),
        ("cuda", "cuda_py312_1", ("__cuda >=12", "tiny-cudart >=13,<14")),
    ):
        yield Build(
            name="tiny-torch",
            version="2.12.0",
            build=build,
            depends=("python >=3.12,<3.13.0a0", "python_abi 3.12.* *_cp312", *needs),
            subdir=subdir,
            files={
                **distribution("torch", f"2.12.0+{suffix}", folder="lib/python3.12/site-packages"),
                **distribution("inner", "1.0", folder="lib/python3.12/site-packages/torch/_vendor"),
            },
        )
    yield Build(name="python_abi", version="3.12", build="8_cp312", subdir=subdir)
    yield Build(name="tiny-cudart", version="13.0.1", build="h1_0", depends=("__cuda >=13",), subdir=subdir)


@dataclass
class Served:
    """What a server gives out. `files`: by path, as `/main/noarch/repodata.json`.

    Attributes:
        login: user:password that it wants; "" for everybody.
        ranges: whether it does ranges.
        etags: whether it tells them.
        status: paths that it answers with another status.
        asked: (path, status) of each answer.
    """

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    login: str = ""
    ranges: bool = True
    etags: bool = True
    status: dict[str, int] = field(default_factory=dict)
    asked: list[tuple[str, int]] = field(default_factory=list)

    def put(self, channel: str, files: Mapping[str, bytes]) -> str:
        """Serve a channel's files; its URL."""
        self.files.update({f"/{channel}/{path}": data for path, data in files.items()})
        return f"{self.url}/{channel}"

    def answer(self, path: str, headers: Mapping[str, str]) -> tuple[int, dict[str, str], bytes]:
        sent = headers.get("Authorization", "").removeprefix("Basic ")
        if self.login and base64.b64decode(sent).decode() != self.login:
            return 401, {"WWW-Authenticate": "Basic realm=x"}, b""
        if path in self.status:
            return self.status[path], {}, b""
        data = self.files.get(path)
        if data is None:
            return 404, {}, b""
        tag = f'"{hashlib.sha256(data).hexdigest()}"'
        if self.etags and headers.get("If-None-Match") == tag:
            return 304, {"ETag": tag}, b""
        given = {"ETag": tag} if self.etags else {}
        span = re.fullmatch(r"bytes=(\d*)-(\d*)", headers.get("Range", ""))
        if self.ranges and span:
            first, last = span.groups()
            start = int(first) if first else max(0, len(data) - int(last))
            end = min(len(data), int(last) + 1 if first and last else len(data))
            return 206, {"Content-Range": f"bytes {start}-{end - 1}/{len(data)}"}, data[start:end]
        return 200, given, data


@contextmanager
def served(channels: Mapping[str, Mapping[str, bytes]]) -> Iterator[Served]:
    """A server of these channels, `/NAME/SUBDIR/FILE`."""
    found = Served()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            status, headers, body = found.answer(self.path, dict(self.headers.items()))
            found.asked.append((self.path, status))
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_GET = do_HEAD = _serve  # noqa: N815

        def log_message(self, form: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    found.url = f"http://127.0.0.1:{server.server_address[1]}"
    for name, files in channels.items():
        found.put(name, files)
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
