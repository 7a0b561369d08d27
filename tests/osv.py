"""Entries of a database of advisories as OSV publishes them, and a service that answers with them."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any


def affected(ecosystem: str, name: str, *events: dict[str, str], **more: Any) -> dict[str, Any]:
    """A member of `affected` with one range, or none without events."""
    kind = "SEMVER" if ecosystem == "npm" else "ECOSYSTEM"
    ranges = [{"type": kind, "events": list(events)}] if events else []
    return {"package": {"ecosystem": ecosystem, "name": name}, "ranges": ranges, **more}


def entry(ident: str, *packages: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A whole entry, as the schema's version 1.7 has it."""
    return {
        "schema_version": "1.7.0",
        "id": ident,
        "published": "2026-01-01T00:00:00Z",
        "modified": "2026-02-01T00:00:00Z",
        "summary": f"{ident} in short",
        "details": "At length.",
        "references": [{"type": "ADVISORY", "url": f"https://osv.dev/{ident}"}],
        "affected": list(packages),
        **more,
    }


def encoded(one: object) -> bytes:
    return json.dumps(one).encode()


def folder(path: Path, entries: Sequence[dict[str, Any]]) -> Path:
    """A file for each entry."""
    path.mkdir(parents=True, exist_ok=True)
    for one in entries:
        (path / f"{one['id']}.json").write_bytes(encoded(one))
    return path


def zipped(path: Path, entries: Sequence[dict[str, Any]]) -> Path:
    """`all.zip`, as there is one for each ecosystem."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for one in entries:
            archive.writestr(f"{one['id']}.json", encoded(one))
    return path


@dataclass
class Service:
    """A stand-in for OSV's API.

    Attributes:
        answers: (ecosystem, name) → ids that a query of it names, whatever its version; entries: by id.
        page: how many ids it names at once.
        queries: all that it was asked; paths: what of it was asked for.
        broken: path → (status, body) instead.
    """

    entries: dict[str, dict[str, Any]]
    url: str = ""
    page: int = 1000
    queries: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    broken: dict[str, tuple[int, bytes]] = field(default_factory=dict)

    def answer(self, path: str, body: bytes) -> tuple[int, bytes]:
        self.paths.append(path)
        if path in self.broken:
            return self.broken[path]
        if path == "/v1/querybatch":
            queries = json.loads(body)["queries"]
            self.queries += queries
            return 200, encoded({"results": [self._result(one) for one in queries]})
        found = self.entries.get(path.removeprefix("/v1/vulns/"))
        return (404, b"{}") if found is None else (200, encoded(found))

    def _result(self, query: dict[str, Any]) -> dict[str, Any]:
        wanted = query["package"]
        ids = [
            ident
            for ident, one in sorted(self.entries.items())
            if any({key: row["package"][key] for key in ("ecosystem", "name")} == wanted for row in one["affected"])
        ]
        start = int(query.get("page_token", 0))
        found: dict[str, Any] = {}
        if shown := ids[start : start + self.page]:
            found["vulns"] = [{"id": ident, "modified": "2026-02-01T00:00:00Z"} for ident in shown]
        if start + self.page < len(ids):
            found["next_page_token"] = str(start + self.page)
        return found


@contextmanager
def serving(entries: Sequence[dict[str, Any]]) -> Iterator[Service]:
    """A service on the loopback interface."""
    service = Service({one["id"]: one for one in entries})

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, body = service.answer(self.path, self.rfile.read(int(self.headers.get("Content-Length", 0))))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    service.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
