"""A registry on the loopback interface that takes uploads into memory, and fails as told, once for each fault."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Fault = Callable[["Request"], bool]
"""Sees a request before it is answered; True if it has answered it itself, or broken the connection."""


class Request(BaseHTTPRequestHandler):
    """One request, with its parts taken apart."""

    protocol_version = "HTTP/1.1"
    registry: FakeUploads

    @property
    def route(self) -> str:
        return urlsplit(self.path).path

    @property
    def query(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}

    def body(self, limit: int | None = None) -> bytes:
        """The body, or its first bytes."""
        size = int(self.headers.get("Content-Length") or 0)
        return self.rfile.read(size if limit is None else min(size, limit))

    def reply(self, status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def cut(self) -> None:
        """Break the connection without a word."""
        self.close_connection = True
        self.connection.close()

    def _any(self) -> None:
        mine = self.registry
        mine.seen.append((self.command, self.route))
        with mine.mutex:
            fault = next((one for one in mine.faults if one[0] == self.command and one[1] in self.path), None)
            if fault:
                mine.faults.remove(fault)
        if (fault is None or not fault[2](self)) and mine.admits(self):
            mine.answer(self)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _any  # noqa: N815

    def log_message(self, *arguments: object) -> None:
        pass


class FakeUploads:
    """Repositories in memory.

    Attributes:
        blobs: (repository, digest) → bytes; `manifests` the same, under tags as well.
        sessions: id → (repository, what came so far).
        faults: (method, part of the path, fault), each used once.
        received: bytes of blobs that came over the wire.
        mounts, referrers: whether it mounts blobs, and lists what is attached to an image.
        lifetime: for how many requests a token is good; 0 if none is needed.
        scopes: what each token was asked for.
        page: so many tags are told at once.
    """

    def __init__(self) -> None:
        self.blobs: dict[tuple[str, str], bytes] = {}
        self.manifests: dict[tuple[str, str], bytes] = {}
        self.sessions: dict[str, tuple[str, bytearray]] = {}
        self.faults: list[tuple[str, str, Fault]] = []
        self.seen: list[tuple[str, str]] = []
        self.received = 0
        self.mounts = True
        self.referrers = False
        self.lifetime = 0
        self.scopes: list[list[str]] = []
        self._left = 0
        self.page = 1000
        self.mutex = threading.Lock()
        self._count = 0
        handler = type("Handler", (Request,), {"registry": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._http.daemon_threads = True
        self.host = f"127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def breaks(self, method: str, path: str, fault: Fault, times: int = 1) -> None:
        self.faults += [(method, path, fault)] * times

    def count(self, method: str) -> int:
        return sum(one == method for one, _ in self.seen)

    def admits(self, request: Request) -> bool:
        """Whether whoever asks may; answers 401 if not, and gives tokens."""
        if not self.lifetime:
            return True
        with self.mutex:
            if request.route == "/token":
                self._left = self.lifetime
                self.scopes.append(parse_qs(urlsplit(request.path).query).get("scope", []))
                request.reply(200, body=json.dumps({"token": f"token-{len(self.scopes)}"}).encode())
                return False
            if self._left and request.headers.get("Authorization") == f"Bearer token-{len(self.scopes)}":
                self._left -= 1
                return True
        request.body()
        scope = f"repository:{request.route.removeprefix('/v2/').split('/blobs/')[0].split('/manifests/')[0]}:pull"
        told = f'Bearer realm="http://{self.host}/token",service="here",scope="{scope}"'
        request.reply(401, {"WWW-Authenticate": told})
        return False

    def answer(self, request: Request) -> None:
        repository, _, rest = request.route.removeprefix("/v2/").partition("/blobs/")
        if rest.startswith("uploads/"):
            self._upload(request, repository, rest.removeprefix("uploads/"))
        elif "/referrers/" in request.route:
            self._referrers(request, *request.route.removeprefix("/v2/").split("/referrers/"))
        elif request.route.endswith("/tags/list"):
            self._tags(request, request.route.removeprefix("/v2/").removesuffix("/tags/list"))
        elif rest:
            found = self.blobs.get((repository, rest))
            request.reply(200 if found is not None else 404, {"Docker-Content-Digest": rest}, found or b"")
        else:
            self._manifest(request, *request.route.removeprefix("/v2/").split("/manifests/"))

    def _tags(self, request: Request, repository: str) -> None:
        known = sorted(name for one, name in self.manifests if one == repository and ":" not in name)
        left = [name for name in known if name > request.query.get("last", "")]
        body = json.dumps({"name": repository, "tags": left[: self.page] or None}).encode()
        more = {"Link": f'<{request.route}?last={left[self.page - 1]}>; rel="next"'} if len(left) > self.page else {}
        request.reply(200 if known else 404, more, body)

    def _upload(self, request: Request, repository: str, session: str) -> None:
        if request.command == "POST":
            self._begin(request, repository)
            return
        if session not in self.sessions:
            request.body()
            request.reply(404)
            return
        data = self.sessions[session][1]
        if request.command == "PATCH" and not self._fits(request, len(data)):
            return
        if request.command in {"PATCH", "PUT"}:
            self.take(request, data)
        if request.command == "PUT":
            self._end(request, repository, session, bytes(data))
        else:
            where = {"Location": request.route, "Range": f"0-{max(0, len(data) - 1)}"}
            request.reply(202 if request.command == "PATCH" else 204, where)

    def take(self, request: Request, data: bytearray, limit: int | None = None) -> None:
        body = request.body(limit)
        data += body
        self.received += len(body)

    def _fits(self, request: Request, have: int) -> bool:
        start = request.headers.get("Content-Range", "0-").partition("-")[0]
        if int(start) == have:
            return True
        request.body()
        request.reply(416)
        return False

    def _begin(self, request: Request, repository: str) -> None:
        request.body()
        asked = request.query
        known = (asked.get("from", ""), asked.get("mount", ""))
        if self.mounts and known in self.blobs:
            self.blobs[repository, known[1]] = self.blobs[known]
            request.reply(201, {"Location": f"/v2/{repository}/blobs/{known[1]}"})
            return
        with self.mutex:
            self._count += 1
            name = f"session-{self._count}"
        self.sessions[name] = (repository, bytearray())
        request.reply(202, {"Location": f"/v2/{repository}/blobs/uploads/{name}"})

    def _end(self, request: Request, repository: str, session: str, data: bytes) -> None:
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        del self.sessions[session]
        if digest != request.query["digest"]:
            request.reply(400, body=b'{"errors": [{"code": "DIGEST_INVALID", "message": "other bytes"}]}')
            return
        self.blobs[repository, digest] = data
        request.reply(201, {"Docker-Content-Digest": digest})

    def _manifest(self, request: Request, repository: str, name: str) -> None:
        if request.command == "PUT":
            body = request.body()
            digest = "sha256:" + hashlib.sha256(body).hexdigest()
            self.manifests[repository, digest] = self.manifests[repository, name] = body
            subject = _subject(body)
            noted = {"OCI-Subject": subject} if subject and self.referrers else {}
            request.reply(201, {"Docker-Content-Digest": digest, **noted})
            return
        if request.command == "DELETE":
            gone = self.manifests.pop((repository, name), None)
            for key in [key for key, body in self.manifests.items() if key[0] == repository and body == gone]:
                del self.manifests[key]
            request.reply(404 if gone is None else 202)
            return
        found = self.manifests.get((repository, name))
        digest = "sha256:" + hashlib.sha256(found or b"").hexdigest()
        headers = {"Docker-Content-Digest": digest, "Content-Type": str(_parsed(found).get("mediaType", ""))}
        request.reply(404 if found is None else 200, headers, found or b"")

    def _referrers(self, request: Request, repository: str, subject: str) -> None:
        """The referrers API of distribution-spec v1.1, of a registry that has it."""
        rows = []
        for (where, name), body in self.manifests.items():
            document = _parsed(body)
            if where == repository and name.startswith("sha256:") and _subject(body) == subject:
                told = {key: document[key] for key in ("mediaType", "artifactType", "annotations")}
                rows.append({**told, "digest": name, "size": len(body)})
        media_type = "application/vnd.oci.image.index.v1+json"
        index = json.dumps({"schemaVersion": 2, "mediaType": media_type, "manifests": rows})
        request.reply(200 if self.referrers else 404, {"Content-Type": media_type}, index.encode())


def _parsed(body: bytes | None) -> dict[str, Any]:
    """A manifest; nothing for a body that is none, as a test may have put there."""
    try:
        found = json.loads(body or b"")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _subject(body: bytes) -> str:
    return str(_parsed(body).get("subject", {}).get("digest", ""))


@contextmanager
def uploads() -> Iterator[FakeUploads]:
    found = FakeUploads()
    try:
        yield found
    finally:
        found.close()
