"""A registry of npm on this machine, with the packages that a test puts into it."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from builder.kinds.npm.lockfile import usual
from builder.kinds.npm.tarball import sha512
from tests.kinds.npm.conftest import tarball


class LocalRegistry(ThreadingHTTPServer):
    """Tarballs by name and version; `asked` has every path that was asked for."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.packages: dict[tuple[str, str], tuple[dict[str, Any], bytes]] = {}
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def publish(self, name: str, version: str, files: Mapping[str, str] | None = None, **manifest: Any) -> str:
        """Add a package, and tell its integrity."""
        own = {"name": name, "version": version, **manifest}
        data = tarball([(f"package/{path}", text.encode()) for path, text in (files or {}).items()], own)
        self.packages[name, version] = (own, data)
        return sha512(hashlib.sha512(data).digest())


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        registry = self.server
        assert isinstance(registry, LocalRegistry)
        registry.asked.append(self.path)
        files = {"/" + usual(*key): data for key, (_, data) in registry.packages.items()}
        if self.path in files:
            return self._answer(200, files[self.path])
        name = self.path.strip("/").replace("%2f", "/")
        versions = {
            version: {
                **manifest,
                "dist": {
                    "tarball": f"{registry.url}/{usual(name, version)}",
                    "integrity": sha512(hashlib.sha512(data).digest()),
                },
            }
            for (one, version), (manifest, data) in registry.packages.items()
            if one == name
        }
        document = {"name": name, "dist-tags": {"latest": max(versions, default="")}, "versions": versions}
        return self._answer(200 if versions else 404, json.dumps(document).encode())

    def _answer(self, code: int, body: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing."""


@contextmanager
def local_registry() -> Iterator[LocalRegistry]:
    """A registry for as long as the block lasts."""
    with LocalRegistry() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()
