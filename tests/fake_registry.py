"""A registry on the loopback interface that serves folders of the OCI layout, counts requests, and fails as told."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

REF = "org.opencontainers.image.ref.name"


class FakeRegistry:
    """Repositories by name, each a layout.

    Attributes:
        seen: method and path of every request, in order.
        login: user and password that it wants; None lets everybody in.
        bearer: whether it wants a token for that, which `/token` gives.
        broken: path → what answers instead.
    """

    def __init__(self) -> None:
        self.repositories: dict[str, Path] = {}
        self.seen: list[tuple[str, str]] = []
        self.headers: list[str] = []
        self.login: tuple[str, str] | None = None
        self.bearer = False
        self.realm = ""
        self.tokens: list[str] = []
        self.broken: dict[str, Callable[[BaseHTTPRequestHandler], None]] = {}
        mine = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                mine._answer(self)

            def do_HEAD(self) -> None:
                mine._answer(self)

            def do_POST(self) -> None:
                mine._answer(self)

            def log_message(self, *args: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.host = f"127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def blobs(self) -> list[str]:
        """Digests of the blobs that were asked for."""
        return [path.rpartition("/")[2] for _, path in self.seen if "/blobs/" in path]

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(request.path)
        self.seen.append((request.command, parts.path))
        self.headers.append(request.headers.get("Authorization", ""))
        if parts.path in self.broken:
            self.broken[parts.path](request)
        elif parts.path == "/token":
            self._token(request, parse_qs(parts.query))
        elif self._allowed(request):
            self._serve(request, parts.path)

    def _basic(self) -> str:
        assert self.login is not None
        return "Basic " + base64.b64encode(":".join(self.login).encode()).decode()

    def _token(self, request: BaseHTTPRequestHandler, asked: dict[str, list[str]]) -> None:
        if request.command == "POST":
            asked = parse_qs(request.rfile.read(int(request.headers["Content-Length"])).decode())
        if (
            self.login is not None
            and request.command == "GET"
            and request.headers.get("Authorization") != self._basic()
        ):
            reply(request, 401, b"{}")
            return
        token = f"token-{len(self.tokens)}-{'+'.join(asked['scope']).replace(' ', '+')}"
        self.tokens.append(token)
        reply(request, 200, json.dumps({"token": token}).encode())

    def _allowed(self, request: BaseHTTPRequestHandler) -> bool:
        said = request.headers.get("Authorization", "")
        if self.bearer:
            if self.tokens and said == f"Bearer {self.tokens[-1]}":
                return True
            realm = self.realm or f"http://{self.host}/token"
            scope = "repository:" + request.path.split("/manifests/")[0].split("/blobs/")[0][4:] + ":pull"
            challenge = f'Bearer realm="{realm}",service="fake",scope="{scope}"'
        elif self.login is None or said == self._basic():
            return True
        else:
            challenge = 'Basic realm="fake"'
        reply(request, 401, b'{"errors": [{"code": "UNAUTHORIZED"}]}', {"WWW-Authenticate": challenge})
        return False

    def _serve(self, request: BaseHTTPRequestHandler, path: str) -> None:
        for name, layout in self.repositories.items():
            for kind in ("manifests", "blobs"):
                start = f"/v2/{name}/{kind}/"
                if path.startswith(start) and (found := self._find(layout, kind, path.removeprefix(start))):
                    data, media_type, digest = found
                    reply(request, 200, data, {"Content-Type": media_type, "Docker-Content-Digest": digest})
                    return
        reply(request, 404, b'{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "no such thing"}]}')

    def _find(self, layout: Path, kind: str, name: str) -> tuple[bytes, str, str] | None:
        if kind == "manifests" and not name.startswith("sha256:"):
            rows = json.loads((layout / "index.json").read_bytes())["manifests"]
            name = next((row["digest"] for row in rows if row["annotations"][REF] == name), "sha256:none")
        blob = layout / "blobs/sha256" / name[7:]
        if not blob.is_file():
            return None
        data = blob.read_bytes()
        media_type = json.loads(data)["mediaType"] if kind == "manifests" else "application/octet-stream"
        return data, media_type, name


def reply(request: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
    request.send_response(status)
    for name, value in (headers or {}).items():
        request.send_header(name, value)
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    if request.command != "HEAD":
        request.wfile.write(body)
