"""A registry on this machine that wants to know who asks, and what becomes of what it is told."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from base64 import b64encode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from builder.errors import StackbuildError
from builder.kinds.npm import places
from builder.kinds.npm.lockfile import dumps
from builder.kinds.npm.resolve import Means
from builder.kinds.npm.tarball import sha512
from builder.net import Client
from builder.store import Store
from builder.user_config import environment
from tests.kinds.npm.conftest import Npm, tarball

SECRET = "s3cr3t-t0ken"
TARBALL = tarball([("package/x.js", b"1")], {"name": "tiny", "version": "1.0.0"})
INTEGRITY = sha512(hashlib.sha512(TARBALL).digest())


class Registry(ThreadingHTTPServer):
    """Has one package, for those whose Authorization header is in `allowed`."""

    allowed: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Registry)
        if self.headers.get("Authorization") != self.server.allowed:
            return self.answer(401, b"{}")
        if self.path == "/tiny/-/tiny-1.0.0.tgz":
            return self.answer(200, TARBALL)
        if self.path == "/tiny":
            return self.answer(200, json.dumps(self.packument(self.server.url)).encode())
        return self.answer(404, b"{}")

    def packument(self, url: str) -> dict[str, object]:
        dist = {"tarball": f"{url}/tiny/-/tiny-1.0.0.tgz", "integrity": INTEGRITY}
        version = {"name": "tiny", "version": "1.0.0", "dist": dist}
        return {"name": "tiny", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": version}}

    def answer(self, code: int, body: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing."""


@pytest.fixture
def registry(npm_program: str) -> Iterator[Registry]:
    with Registry(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.parametrize("kind", ["basic", "token"])
def test_a_login_reaches_the_registry_and_nothing_else(kind: str, registry: Registry, store: Store) -> None:
    user = "somebody:" if kind == "basic" else ""
    coded = b64encode(f"somebody:{SECRET}".encode()).decode()
    registry.allowed = f"Basic {coded}" if kind == "basic" else f"Bearer {SECRET}"
    told = {"STACKBUILD_NPM_REGISTRY": registry.url, "STACKBUILD_CREDENTIAL_NPM": f"{user}{SECRET}"}
    environ = environment({**os.environ, **told})
    lock = Npm(Means(client=Client(), store=store, environ=environ)).lock("tiny")
    assert [one.version for one in lock.packages] == ["1.0.0"]
    assert SECRET not in dumps(lock)
    assert "127.0.0.1" not in dumps(lock)
    client = Client()
    (url,) = places.finder(None, client, environ)(lock.pins[0])  # type: ignore[arg-type]
    assert client.get(url) == TARBALL
    for path in store.path.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert SECRET.encode() not in data, path
            assert coded.encode() not in data, path


def test_a_refusal_tells_no_secret(registry: Registry, store: Store) -> None:
    registry.allowed = "Basic nobody"
    told = {"STACKBUILD_NPM_REGISTRY": registry.url, "STACKBUILD_CREDENTIAL_NPM": SECRET}
    environ = environment({**os.environ, **told})
    with pytest.raises(StackbuildError, match="npm's registry refuses us: test") as caught:
        Npm(Means(client=Client(), store=store, environ=environ)).lock("tiny")
    assert SECRET not in str(caught.value)
