"""Requests to a server that redirects, refuses, fails and recovers."""

from __future__ import annotations

import random
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from builder.errors import HostileInput, Problems, Unreachable
from builder.net import Client
from builder.redaction import redact
from tests.scripted_server import Server, answer

DATA = random.Random(7).randbytes(700_000)


def test_busy_server_is_asked_again_when_it_says(server: Server, waits: list[float]) -> None:
    def busy(handler: BaseHTTPRequestHandler, before: int) -> None:
        if before:
            answer(handler, DATA)
        else:
            answer(handler, b"", status=503, Retry_After="7")

    server.paths["/f"] = busy
    assert Client().get(f"{server.url}/f") == DATA
    assert waits == [7.0]


@pytest.mark.parametrize("said", ["Wed, 21 Oct 2026 07:28:00 GMT", "-5", "9" * 30, "soon"])
def test_strange_retry_after(said: str, server: Server, waits: list[float]) -> None:
    server.paths["/f"] = lambda handler, before: (
        answer(handler, DATA) if before else answer(handler, b"", status=429, Retry_After=said)
    )
    Client().get(f"{server.url}/f")
    assert all(0 <= one <= 30 for one in waits)


@pytest.mark.parametrize(("status", "times"), [(404, 1), (403, 1), (500, 4), (503, 4)])
def test_what_passes_by_itself_is_tried_again(status: int, times: int, server: Server, waits: list[float]) -> None:
    server.paths["/f"] = lambda handler, _: answer(handler, b"", status=status)
    with pytest.raises(Unreachable, match="cannot GET") as caught:
        Client().get(f"{server.url}/f")
    assert caught.value.got == f"HTTP {status}"
    assert len(server.seen) == times


def test_redirects(server: Server, waits: list[float]) -> None:
    server.paths |= {
        "/a": lambda handler, _: answer(handler, b"", status=302, Location="/b"),
        "/b": lambda handler, _: answer(handler, b"", status=308, Location=f"{server.url}/c"),
        "/c": lambda handler, _: answer(handler, DATA),
        "/loop": lambda handler, _: answer(handler, b"", status=302, Location="/loop"),
        "/disk": lambda handler, _: answer(handler, b"", status=302, Location="file:///etc/passwd"),
    }
    assert Client().get(f"{server.url}/a") == DATA
    for path in ("/loop", "/disk"):
        with pytest.raises(Unreachable):
            Client().get(server.url + path)


def test_nobody_listens(waits: list[float]) -> None:
    with pytest.raises(Unreachable, match="cannot GET"):
        Client().get("http://127.0.0.1:9/f")


@pytest.mark.parametrize("url", ["http://[::bad/f", "http://", "nonsense", "gopher://x/y", "http://a:b:c/"])
def test_url_that_is_none(url: str, waits: list[float]) -> None:
    """An index page may hold any link; the URL parser's error came through."""
    for ask in (Client().get, Client().size):
        with pytest.raises(Unreachable):
            ask(url)


def test_offline() -> None:
    with pytest.raises(Unreachable, match="offline"):
        Client(environ={"STACKBUILD_OFFLINE": "1"}).get("http://127.0.0.1:9/f")


def test_local_file(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(DATA)
    assert Client().get((tmp_path / "f").as_uri()) == DATA
    assert Client().size((tmp_path / "f").as_uri()) == len(DATA)
    for use in (Client().get, Client().size):
        with pytest.raises(Unreachable, match="cannot read"):
            use((tmp_path / "missing").as_uri())


def test_errors_hold_no_credentials(server: Server, waits: list[float]) -> None:
    server.paths["/f"] = lambda handler, _: answer(handler, b"", status=403)
    url = server.url.replace("//", "//user:hunter2@") + "/f?token=hunter2"
    with pytest.raises(Unreachable) as caught:
        Client().get(url)
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
