"""A package index on the loopback interface, with tiny wheels and archives that the tests make."""

from __future__ import annotations

import base64
import hashlib
import html
import io
import json
import os
import re
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import requests

from builder.kinds.pip.index import default_url
from builder.net import Client
from builder.store import Store
from tests.pip_family import Family

EARLY = "2026-01-01T00:00:00Z"


def wheel_bytes(name: str, version: str, requires: Sequence[str] = (), *, padding: int = 0) -> bytes:
    """A wheel with one module; `padding` random-looking bytes make it long."""
    stem = f"{name.replace('-', '_')}-{version}"
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Dist: {line}" for line in requires]
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for path, text in (
            (f"{name.replace('-', '_')}.py", f"version = {version!r}\n"),
            ("data.bin", hashlib.shake_256(stem.encode()).digest(padding)),
            (f"{stem}.dist-info/METADATA", "\n".join(lines) + "\n"),
            (f"{stem}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"),
            (f"{stem}.dist-info/RECORD", ""),
        ):
            archive.writestr(zipfile.ZipInfo(path, (2026, 1, 1, 0, 0, 0)), text)
    return out.getvalue()


def sdist_bytes(name: str, version: str, files: dict[str, str]) -> bytes:
    stem = f"{name.replace('-', '_')}-{version}"
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for path, text in files.items():
            info = tarfile.TarInfo(f"{stem}/{path}")
            info.size = len(text.encode())
            archive.addfile(info, io.BytesIO(text.encode()))
    return out.getvalue()


@dataclass
class Loopback:
    """What the index serves. `json`: PEP 691 instead of 503; `ranges`: whether the server does them;
    `login`: user:password that it wants."""

    url: str = ""
    json: bool = False
    login: str = ""
    ranges: bool = True
    projects: dict[str, dict[str, dict[str, object]]] = field(default_factory=dict)
    content: dict[str, bytes] = field(default_factory=dict)
    pages: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, str, str]] = field(default_factory=list)

    def wheel(
        self, name: str, version: str, *requires: str, tag: str = "py3-none-any", padding: int = 0, **facts: object
    ) -> bytes:
        """Publish a wheel. Facts: uploaded, requires_python, yanked, digest=False, sidecar."""
        data = wheel_bytes(name, version, requires, padding=padding)
        filename = f"{name.replace('-', '_')}-{version}-{tag}.whl"
        self.publish(name, filename, data, **facts)
        return data

    def sdist(self, name: str, version: str, files: dict[str, str] | None = None, **facts: object) -> bytes:
        data = sdist_bytes(name, version, files or {"setup.py": "raise SystemExit('ran on the host')\n"})
        self.publish(name, f"{name.replace('-', '_')}-{version}.tar.gz", data, **facts)
        return data

    def publish(self, name: str, filename: str, data: bytes, **facts: object) -> None:
        facts.setdefault("uploaded", EARLY)
        facts["sha256"] = hashlib.sha256(data).hexdigest()
        self.projects.setdefault(name, {})[filename] = facts
        self.content[f"/files/{filename}"] = data
        if facts.get("sidecar"):
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                member = next(one for one in archive.namelist() if one.endswith("/METADATA"))
                self.content[f"/files/{filename}.metadata"] = archive.read(member)

    def page(self, project: str) -> tuple[str, str] | None:
        if project in self.pages:
            return "text/html", self.pages[project]
        if project not in self.projects:
            return None
        files = sorted(self.projects[project].items())
        if self.json:
            return "application/vnd.pypi.simple.v1+json", json.dumps(
                {
                    "meta": {"api-version": "1.1"},
                    "name": project,
                    "files": [self._json(name, facts) for name, facts in files],
                }
            )
        return "text/html", "<!DOCTYPE html><body>\n" + "\n".join(self._anchor(*one) for one in files)

    def _json(self, name: str, facts: dict[str, object]) -> dict[str, object]:
        found: dict[str, object] = {
            "filename": name,
            "url": f"../../files/{name}",
            "hashes": {"sha256": facts["sha256"]} if facts.get("digest", True) else {},
            "size": len(self.content[f"/files/{name}"]),
            "upload-time": facts["uploaded"],
            "yanked": facts.get("yanked", False),
            "requires-python": facts.get("requires_python"),
        }
        if facts.get("sidecar"):
            found["core-metadata"] = {"sha256": facts["sidecar"]} if isinstance(facts["sidecar"], str) else True
        return found

    def _anchor(self, name: str, facts: dict[str, object]) -> str:
        href = f"../../files/{name}" + (f"#sha256={facts['sha256']}" if facts.get("digest", True) else "")
        more = "".join(
            f' {key}="{html.escape(str(value))}"'
            for key, value in (
                ("data-requires-python", facts.get("requires_python")),
                ("data-upload-time", facts["uploaded"]),
                ("data-yanked", "why" if facts.get("yanked") else None),
                ("data-core-metadata", "true" if facts.get("sidecar") else None),
            )
            if value is not None
        )
        return f'<a href="{href}"{more}>{name}</a><br/>'

    def answer(self, method: str, path: str, wanted: str) -> tuple[int, str, bytes, dict[str, str]]:
        self.asked.append((method, path, wanted))
        if project := re.fullmatch(r"/simple/([^/]+)/", path):
            page = self.page(project.group(1))
            return (200, page[0], page[1].encode(), {}) if page else (404, "text/plain", b"", {})
        data = self.content.get(path)
        if data is None:
            return 404, "text/plain", b"", {}
        span = re.fullmatch(r"bytes=(\d*)-(\d*)", wanted)
        if self.ranges and span:
            first, last = span.groups()
            start = int(first) if first else max(0, len(data) - int(last))
            end = min(len(data), int(last) + 1 if first and last else len(data))
            return (
                206,
                "application/zip",
                data[start:end],
                {"Content-Range": f"bytes {start}-{end - 1}/{len(data)}"},
            )
        return 200, "application/zip", data, {}


def _handler(index: Loopback) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            sent = self.headers.get("Authorization", "").removeprefix("Basic ")
            if index.login and base64.b64decode(sent).decode() != index.login:
                status, kind, body, headers = 401, "text/plain", b"", {"WWW-Authenticate": "Basic realm=x"}
            else:
                status, kind, body, headers = index.answer(self.command, self.path, self.headers.get("Range", ""))
            self.send_response(status)
            for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_GET = do_HEAD = _serve  # noqa: N815

        def log_message(self, form: str, *args: object) -> None:
            pass

    return Handler


@pytest.fixture
def new_index() -> Iterator[Callable[[], Loopback]]:
    """Starts further indexes."""
    servers: list[ThreadingHTTPServer] = []

    def start() -> Loopback:
        index = Loopback()
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(index))
        server.daemon_threads = True
        servers.append(server)
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        index.url = f"http://127.0.0.1:{server.server_address[1]}/simple"
        return index

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def make_wheel() -> Callable[..., bytes]:
    return wheel_bytes


@pytest.fixture
def index(new_index: Callable[[], Loopback]) -> Loopback:
    return new_index()


@pytest.fixture
def environ(index: Loopback) -> dict[str, str]:
    """An environment whose default index is the loopback one."""
    return {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/root"), "PIP_INDEX_URL": index.url}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "store")


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture(scope="session")
def real_index() -> str:
    """The machine's own default index; skipped where it does not answer, failed in CI."""
    url = default_url(os.environ)
    try:
        requests.get(url.rstrip("/") + "/pip/", timeout=20).raise_for_status()
    except requests.RequestException as error:
        if os.environ.get("CI") == "true":
            pytest.fail(f"the package index does not answer: {type(error).__name__}")
        pytest.skip(f"the package index does not answer: {type(error).__name__}")
    return url


@pytest.fixture
def family(tmp_path: Path, store: Store, index: Loopback, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Family]:
    """Makes a family of images of a manifest's text, whose packages come from the loopback index."""
    monkeypatch.setenv("PIP_INDEX_URL", index.url)
    return lambda text: Family(tmp_path, store, text)
