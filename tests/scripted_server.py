"""A server that truncates, lies, redirects, fails and recovers, as the test says."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Behaviour = Callable[[BaseHTTPRequestHandler, int], None]
"""Answers one request; the number says how many came to that path before."""


class Server:
    """A server on the loopback interface whose paths behave as the test says."""

    def __init__(self) -> None:
        self.paths: dict[str, Behaviour] = {}
        self.seen: list[tuple[str, str]] = []
        mine = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                before = sum(path == one for one, _ in mine.seen)
                mine.seen.append((path, self.headers.get("Range", "")))
                mine.paths[path](self, before)

            do_HEAD = do_GET  # noqa: N815

            def log_message(self, *args: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def ranges(self) -> list[str]:
        return [one for _, one in self.seen]


def answer(
    handler: BaseHTTPRequestHandler, body: bytes, *, status: int = 200, length: int | None = None, **headers: str
) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("Content-Length", str(len(body) if length is None else length))
    handler.end_headers()
    handler.wfile.write(body)
    if length is not None and length > len(body):
        handler.close_connection = True


def ranged(handler: BaseHTTPRequestHandler, data: bytes, *, cut: int | None = None) -> None:
    """Answer with ranges; `cut` ends the connection after so many bytes of the body."""
    asked = handler.headers.get("Range", "")
    start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
    if asked and start >= len(data):
        answer(handler, b"", status=416, Content_Range=f"bytes */{len(data)}")
        return
    rest = data[start:]
    extra = {"Content_Range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if asked else {}
    answer(handler, rest[:cut], status=206 if asked else 200, length=len(rest), **extra)
