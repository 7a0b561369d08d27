"""Servers on the loopback interface: folders behind a password, TLS by a CA of our own, redirects, a proxy's diary."""

from __future__ import annotations

import base64
import select
import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urlsplit

from tests.tools import absent

Behaviour = Callable[[BaseHTTPRequestHandler], None]


def basic(login: str) -> str:
    """The Authorization header for `user:password`."""
    return "Basic " + base64.b64encode(login.encode()).decode()


@dataclass
class Service:
    """A folder that is served.

    Attributes:
        login: `user:password` that every request must bring, "" for none.
        moved: path → where it is redirected to, without asking for a login.
        seen: (path, Authorization header) of every request.
    """

    folder: Path
    url: str = ""
    login: str = ""
    moved: dict[str, str] = field(default_factory=dict)
    seen: list[tuple[str, str]] = field(default_factory=list)

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 0

    def with_login(self, login: str | None = None) -> str:
        """The URL with user info."""
        return self.url.replace("://", f"://{self.login if login is None else login}@")

    def write(self, path: str, data: bytes | str) -> Path:
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data.encode() if isinstance(data, str) else data)
        return target

    def publish(self, name: str, filename: str, data: bytes) -> None:
        """Add a file to a project of a package index (PEP 503), whose URL is `<url>/simple`."""
        self.write(f"files/{filename}", data)
        page = self.folder / "simple" / name / "index.html"
        page.parent.mkdir(parents=True, exist_ok=True)
        with page.open("a") as stream:
            stream.write(f'<a href="../../files/{filename}">{filename}</a>\n')


@contextmanager
def serve(
    folder: Path, *, login: str = "", tls: Certificates | None = None, host: str = "127.0.0.1"
) -> Iterator[Service]:
    """Serve a folder, which is made if it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    service = Service(folder=folder, login=login)

    def behave(handler: BaseHTTPRequestHandler) -> None:
        sent = handler.headers.get("Authorization", "")
        path = unquote(urlsplit(handler.path).path)
        service.seen.append((path, sent))
        if path in service.moved:
            answer(handler, b"", status=302, Location=service.moved[path])
        elif service.login and sent != basic(service.login):
            answer(handler, b"", status=401, WWW_Authenticate="Basic realm=here")
        else:
            target = service.folder / path.lstrip("/")
            target = target / "index.html" if target.is_dir() else target
            if target.is_file():
                kind = "text/html" if target.suffix == ".html" else "application/octet-stream"
                answer(handler, target.read_bytes(), Content_Type=kind)
            else:
                answer(handler, b"", status=404)

    with running(behave, tls=tls) as port:
        service.url = f"{'https' if tls else 'http'}://{host}:{port}"
        yield service


def answer(handler: BaseHTTPRequestHandler, body: bytes, *, status: int = 200, **headers: str) -> None:
    handler.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(body)


@contextmanager
def running(behave: Behaviour, *, tls: Certificates | None = None, tunnel: Behaviour | None = None) -> Iterator[int]:
    """A server that does what it is told with every request; its port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            behave(self)

        do_HEAD = do_GET  # noqa: N815

        def do_CONNECT(self) -> None:
            if tunnel:
                tunnel(self)

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls.certificate, tls.key)
        # The handshake is done by the thread of the connection, so that one which fails stops nobody else.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


@dataclass(frozen=True)
class Certificates:
    """A CA, and what it signed for `127.0.0.1`, `localhost` and `packages.example.com`."""

    ca: Path
    certificate: Path
    key: Path


def certificates(folder: Path) -> Certificates:
    """Make them with openssl."""
    if shutil.which("openssl") is None:
        absent("openssl is not installed")
    folder.mkdir(parents=True)

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    elliptic = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *elliptic, "-keyout", "ca.key", "-out", "ca.pem", "-days", "30", "-subj", "/CN=Test CA")
    openssl("req", *elliptic, "-keyout", "own.key", "-out", "own.csr", "-subj", "/CN=localhost")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:packages.example.com\n")
    signing = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "names", "-days", "30")
    openssl("x509", "-req", "-in", "own.csr", *signing, "-out", "own.pem")
    return Certificates(folder / "ca.pem", folder / "own.pem", folder / "own.key")


@dataclass
class Proxy:
    """A proxy to whom every host is one and the same service.

    Attributes:
        seen: (`CONNECT host:port` or `GET url`, Authorization header, Proxy-Authorization header) of every request.
    """

    url: str = ""
    seen: list[tuple[str, str, str]] = field(default_factory=list)


@contextmanager
def proxy(to: Service) -> Iterator[Proxy]:
    """A proxy, as it looks to a client; everything that it is asked for it finds at one service."""
    found = Proxy()

    def keep(handler: BaseHTTPRequestHandler) -> None:
        login, own = (handler.headers.get(name, "") for name in ("Authorization", "Proxy-Authorization"))
        found.seen.append((f"{handler.command} {handler.path}", login, own))

    def plain(handler: BaseHTTPRequestHandler) -> None:
        keep(handler)
        target = to.folder / unquote(urlsplit(handler.path).path).lstrip("/")
        answer(handler, target.read_bytes() if target.is_file() else b"", status=200 if target.is_file() else 404)

    def tunnel(handler: BaseHTTPRequestHandler) -> None:
        keep(handler)
        with socket.create_connection(("127.0.0.1", to.port)) as other:
            handler.send_response(200)
            handler.end_headers()
            ends = [handler.connection, other]
            while True:
                ready, _, _ = select.select(ends, [], [], 10)
                for one in ready:
                    data = one.recv(1 << 16)
                    if not data:
                        handler.close_connection = True
                        return
                    ends[1 - ends.index(one)].sendall(data)
                if not ready:
                    return

    with running(plain, tunnel=tunnel) as port:
        found.url = f"http://127.0.0.1:{port}"
        yield found
