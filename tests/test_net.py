"""Downloads from a server that truncates, lies, redirects, fails and recovers: nothing unchecked gets a name."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from builder.digest import Digest
from builder.errors import HostileInput, Problems, StackbuildError, Unreachable
from builder.net import Client, redact
from builder.store import Store

DATA = random.Random(7).randbytes(700_000)
DIGEST = Digest.of(DATA)

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


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    yield found
    found.close()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the client would have waited, without waiting."""
    found: list[float] = []
    monkeypatch.setattr("builder.net.time.sleep", found.append)
    return found


def download(store: Store, *urls: str, digest: Digest = DIGEST, size: int = len(DATA)) -> Path:
    with store.new_source() as incoming:
        Client().download(urls, digest=digest, size=size, into=incoming)
    return store.source(digest)


def nothing_kept(store: Store) -> bool:
    return not [*(store.path / "sources/sha256").iterdir(), *(store.path / "tmp").glob("tmp*")]


def test_whole_file(server: Server, store: Store) -> None:
    server.paths["/f"] = lambda handler, _: answer(handler, DATA)
    assert download(store, f"{server.url}/f").read_bytes() == DATA
    assert server.ranges() == [""]


def test_cut_connection_is_resumed(server: Server, store: Store, waits: list[float]) -> None:
    server.paths["/f"] = lambda handler, before: ranged(handler, DATA, cut=None if before else 500_000)
    assert download(store, f"{server.url}/f").read_bytes() == DATA
    first, second = server.ranges()
    assert first == ""
    assert second.startswith("bytes=")
    assert 0 < int(second[6:-1]) <= 500_000


def test_server_ignores_the_range(server: Server, store: Store, waits: list[float]) -> None:
    server.paths["/f"] = lambda handler, before: answer(handler, DATA if before else DATA[:500_000], length=len(DATA))
    assert download(store, f"{server.url}/f").read_bytes() == DATA


def test_server_sends_another_range(server: Server, store: Store, waits: list[float]) -> None:
    """A 206 of other bytes was joined to what was there, and told as a wrong digest: somebody changed the file."""

    def lie(handler: BaseHTTPRequestHandler, before: int) -> None:
        if before:
            answer(handler, DATA[10:], status=206, Content_Range=f"bytes 10-{len(DATA) - 1}/{len(DATA)}")
        else:
            answer(handler, DATA[:500_000], length=len(DATA))

    server.paths["/f"] = lie
    with pytest.raises(Unreachable, match="truncated download"):
        download(store, f"{server.url}/f")
    assert nothing_kept(store)


@pytest.mark.parametrize("ranges", [True, False])
def test_truncated_file(ranges: bool, server: Server, store: Store, waits: list[float]) -> None:
    """A server with ranges was told as "cannot GET, HTTP 416"."""
    short = DATA[:600_000]
    server.paths["/f"] = lambda handler, _: ranged(handler, short) if ranges else answer(handler, short)
    with pytest.raises(Unreachable, match="truncated download") as caught:
        download(store, f"{server.url}/f")
    assert caught.value.expected == "700000 bytes"
    assert "600000 bytes" in caught.value.got
    assert nothing_kept(store)


def test_connection_that_is_always_cut(server: Server, store: Store, waits: list[float]) -> None:
    server.paths["/f"] = lambda handler, _: answer(handler, DATA[:1000], length=len(DATA))
    with pytest.raises(Unreachable, match="truncated download"):
        download(store, f"{server.url}/f")
    assert nothing_kept(store)


def test_file_that_is_too_long(server: Server, store: Store) -> None:
    server.paths["/f"] = lambda handler, _: answer(handler, DATA + b"x")
    with pytest.raises(HostileInput, match="wrong size"):
        download(store, f"{server.url}/f")
    assert nothing_kept(store)


def test_file_without_end_is_not_read_to_it(server: Server, store: Store) -> None:
    sent = 0

    def endless(handler: BaseHTTPRequestHandler, _: int) -> None:
        nonlocal sent
        handler.close_connection = True
        handler.send_response(200)
        handler.end_headers()
        try:
            for _ in range(2000):
                handler.wfile.write(bytes(1 << 18))
                sent += 1 << 18
        except OSError:
            pass

    server.paths["/f"] = endless
    with pytest.raises(HostileInput, match="wrong size"):
        download(store, f"{server.url}/f", size=1000)
    assert sent < 100 << 20
    assert nothing_kept(store)


def test_wrong_digest(server: Server, store: Store) -> None:
    server.paths["/f"] = lambda handler, _: answer(handler, DATA[:-1] + b"!")
    with pytest.raises(HostileInput, match="wrong digest") as caught:
        download(store, f"{server.url}/f")
    assert caught.value.expected == DIGEST
    assert "nothing was kept" in caught.value.got
    assert nothing_kept(store)


def test_next_mirror_has_it(server: Server, store: Store, waits: list[float]) -> None:
    server.paths |= {
        "/missing": lambda handler, _: answer(handler, b"", status=404),
        "/other": lambda handler, _: answer(handler, bytes(len(DATA))),
        "/short": lambda handler, _: answer(handler, b"x"),
        "/good": lambda handler, _: answer(handler, DATA),
    }
    urls = [server.url + path for path in ("/missing", "/other", "/short", "/good")]
    assert download(store, *urls).read_bytes() == DATA


def test_all_mirrors_fail(server: Server, store: Store, waits: list[float]) -> None:
    """Wrong bytes matter more to a person than a missing file."""
    server.paths |= {
        "/other": lambda handler, _: answer(handler, bytes(len(DATA))),
        "/missing": lambda handler, _: answer(handler, b"", status=404),
    }
    with pytest.raises(HostileInput, match="wrong digest"):
        download(store, f"{server.url}/other", f"{server.url}/missing")
    with pytest.raises(Unreachable, match="no source"):
        download(store)
    assert nothing_kept(store)


def test_busy_server_is_asked_again_when_it_says(server: Server, store: Store, waits: list[float]) -> None:
    def busy(handler: BaseHTTPRequestHandler, before: int) -> None:
        if before:
            answer(handler, DATA)
        else:
            answer(handler, b"", status=503, Retry_After="7")

    server.paths["/f"] = busy
    assert download(store, f"{server.url}/f").read_bytes() == DATA
    assert waits == [7.0]


@pytest.mark.parametrize("said", ["Wed, 21 Oct 2026 07:28:00 GMT", "-5", "9" * 30, "soon"])
def test_strange_retry_after(said: str, server: Server, store: Store, waits: list[float]) -> None:
    server.paths["/f"] = lambda handler, before: (
        answer(handler, DATA) if before else answer(handler, b"", status=429, Retry_After=said)
    )
    download(store, f"{server.url}/f")
    assert all(0 <= one <= 30 for one in waits)


@pytest.mark.parametrize(("status", "times"), [(404, 1), (403, 1), (500, 4), (503, 4)])
def test_what_passes_by_itself_is_tried_again(
    status: int, times: int, server: Server, store: Store, waits: list[float]
) -> None:
    server.paths["/f"] = lambda handler, _: answer(handler, b"", status=status)
    with pytest.raises(Unreachable, match="cannot GET") as caught:
        download(store, f"{server.url}/f")
    assert caught.value.got == f"HTTP {status}"
    assert len(server.seen) == times


def test_redirects(server: Server, store: Store, waits: list[float]) -> None:
    server.paths |= {
        "/a": lambda handler, _: answer(handler, b"", status=302, Location="/b"),
        "/b": lambda handler, _: answer(handler, b"", status=308, Location=f"{server.url}/c"),
        "/c": lambda handler, _: answer(handler, DATA),
        "/loop": lambda handler, _: answer(handler, b"", status=302, Location="/loop"),
        "/disk": lambda handler, _: answer(handler, b"", status=302, Location="file:///etc/passwd"),
    }
    assert download(store, f"{server.url}/a").read_bytes() == DATA
    for path in ("/loop", "/disk"):
        with pytest.raises(Unreachable):
            Client().get(server.url + path)


def test_nobody_listens(store: Store, waits: list[float]) -> None:
    with pytest.raises(Unreachable, match="cannot GET"):
        download(store, "http://127.0.0.1:9/f")


@pytest.mark.parametrize("url", ["http://[::bad/f", "http://", "nonsense", "gopher://x/y", "http://a:b:c/"])
def test_url_that_is_none(url: str, store: Store, waits: list[float]) -> None:
    """An index page may hold any link; the URL parser's error came through."""
    with pytest.raises(Unreachable):
        download(store, url)


def test_offline(store: Store) -> None:
    with pytest.raises(Unreachable, match="offline"), store.new_source() as incoming:
        Client(environ={"STACKBUILD_OFFLINE": "1"}).download(
            ["http://127.0.0.1:9/f"], digest=DIGEST, size=1, into=incoming
        )


def test_local_file(tmp_path: Path, store: Store) -> None:
    (tmp_path / "f").write_bytes(DATA)
    assert download(store, (tmp_path / "f").as_uri()).read_bytes() == DATA
    assert Client().size((tmp_path / "f").as_uri()) == len(DATA)
    for use in (Client().get, Client().size):
        with pytest.raises(Unreachable, match="cannot read"):
            use((tmp_path / "missing").as_uri())


def test_local_file_that_is_wrong(tmp_path: Path, store: Store, waits: list[float]) -> None:
    for data in (DATA[:-1], DATA + b"x", bytes(len(DATA))):
        (tmp_path / "f").write_bytes(data)
        with pytest.raises(StackbuildError):
            download(store, (tmp_path / "f").as_uri())
    assert nothing_kept(store)


def test_errors_hold_no_credentials(server: Server, store: Store, waits: list[float]) -> None:
    server.paths["/f"] = lambda handler, _: answer(handler, b"", status=403)
    url = server.url.replace("//", "//user:hunter2@") + "/f?token=hunter2"
    with pytest.raises(Unreachable) as caught:
        download(store, url)
    assert "hunter2" not in str(caught.value)
    assert redact("https://u:p@host:8443/path?q#f") == "https://host:8443/path"


def test_small_document_has_a_limit(server: Server, waits: list[float]) -> None:
    server.paths |= {
        "/long": lambda handler, _: answer(handler, bytes(2000)),
        "/cut": lambda handler, _: answer(handler, bytes(20), length=100),
    }
    with pytest.raises(HostileInput, match="too long"):
        Client().get(f"{server.url}/long", limit=1000)
    with pytest.raises(Unreachable, match="truncated answer"):
        Client().get(f"{server.url}/cut")


def test_ranges(server: Server, waits: list[float]) -> None:
    server.paths |= {
        "/none": lambda handler, _: answer(handler, DATA),
        "/wrong": lambda handler, _: answer(handler, b"xx", status=206, Content_Range="bytes 5-6/100"),
    }
    for path in ("/none", "/wrong"):
        with pytest.raises(Unreachable):
            Client().range(server.url + path, 0, 2)


@pytest.mark.parametrize(("start", "end"), [(0, 1000), (-1000, None)])
def test_range_that_is_longer_than_was_asked(start: int, end: int | None, server: Server, waits: list[float]) -> None:
    """The length that counted was the one that the server named."""
    first = 0 if end else 9_000
    answers = f"bytes {first}-{first + len(DATA) - 1}/10000"
    server.paths["/f"] = lambda handler, _: answer(handler, DATA, status=206, Content_Range=answers)
    with pytest.raises(HostileInput, match="too long"):
        Client().range(f"{server.url}/f", start, end)


def test_local_document_has_a_limit(tmp_path: Path) -> None:
    """It was cut there, without a word."""
    path = tmp_path / "f"
    path.write_bytes(bytes(1001))
    for ask in (Client().get, Client().page):
        with pytest.raises(HostileInput, match="too long"):
            ask(path.as_uri(), limit=1000)
        assert ask(path.as_uri(), limit=1001)
        with pytest.raises(Unreachable, match="cannot read"):
            ask((tmp_path / "none").as_uri())


def test_unknown_digest_is_learnt(server: Server, store: Store, waits: list[float]) -> None:
    server.paths |= {
        "/f": lambda handler, _: answer(handler, DATA),
        "/cut": lambda handler, _: answer(handler, DATA[:10], length=20),
    }
    with store.new_source() as incoming:
        assert Client().learn(f"{server.url}/f", incoming) == (DIGEST, len(DATA))
    assert store.source(DIGEST).read_bytes() == DATA
    with pytest.raises(Unreachable, match="truncated download"), store.new_source() as incoming:
        Client().learn(f"{server.url}/cut", incoming)


def test_each_keeps_the_order_and_opens_few_connections(server: Server) -> None:
    """Sixteen at a time over connections that stay open, whoever asks: two crowds of threads share them."""
    callers: set[tuple[str, int]] = set()

    def behave(handler: BaseHTTPRequestHandler, before: int) -> None:
        callers.add(handler.client_address)
        answer(handler, handler.path.rpartition("?")[2].encode())

    server.paths["/page"] = behave
    client = Client()
    found: dict[str, list[bytes]] = {}

    def ask(crowd: str) -> None:
        found[crowd] = client.each(client.get, [f"{server.url}/page?{crowd}{number}" for number in range(100)])

    crowds = [threading.Thread(target=ask, args=(crowd,)) for crowd in "ab"]
    for one in crowds:
        one.start()
    for one in crowds:
        one.join()
    assert found == {crowd: [f"{crowd}{number}".encode() for number in range(100)] for crowd in "ab"}
    assert len(callers) <= 16


def test_each_tells_the_problems_of_all(server: Server) -> None:
    server.paths["/there"] = lambda handler, _: answer(handler, b"x")
    server.paths["/gone"] = lambda handler, _: answer(handler, b"", status=404)
    client = Client()
    with pytest.raises(Problems) as error:
        client.each(client.get, [f"{server.url}{path}" for path in ("/gone?1", "/there", "/gone?2")])
    assert [str(one).count("gone") for one in error.value.problems] == [1, 1]
