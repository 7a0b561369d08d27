"""A server on the loopback interface that serves what a test puts into it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from builder.manifest.model import Manifest
from builder.manifest.read import loads

MANIFEST = """
[project]
name = "test"
platforms = ["linux/amd64", "linux/arm64"]
[archives.debian]
suites = ["bookworm"]
[layouts.plain]
user = "jovyan"
uid = 1000
gid = 100
home = "/home/jovyan"
[variants.cuda]
"""


@dataclass
class Web:
    """What is served, by path, and what was asked for."""

    url: str = ""
    content: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def put(self, path: str, data: bytes) -> str:
        """Serve a file; its URL."""
        self.content[path] = data
        return self.url + path


@pytest.fixture
def web() -> Iterator[Web]:
    served = Web()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.asked.append(self.path)
            data = served.content.get(self.path)
            self.send_response(404 if data is None else 200)
            self.send_header("Content-Length", str(len(data or b"")))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(data or b"")

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    served.url = f"http://127.0.0.1:{server.server_port}"
    yield served
    server.shutdown()
    server.server_close()


Written = Callable[[str], Manifest]


@pytest.fixture
def manifest(tmp_path: Path) -> Written:
    """A manifest of these images, as it lies in the test's folder."""

    def write(images: str) -> Manifest:
        (tmp_path / "stacks.toml").write_text(MANIFEST + images)
        return loads(MANIFEST + images, tmp_path / "stacks.toml")

    return write
