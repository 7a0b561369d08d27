"""Downloads from a server that truncates and lies: nothing unchecked gets a name."""

from __future__ import annotations

import random
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from builder.digest import Digest
from builder.errors import HostileInput, StackbuildError, Unreachable
from builder.net import Client
from builder.store import Store
from tests.scripted_server import Server, answer, ranged

DATA = random.Random(7).randbytes(700_000)
DIGEST = Digest.of(DATA)


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


def test_local_file_that_is_wrong(tmp_path: Path, store: Store, waits: list[float]) -> None:
    for data in (DATA[:-1], DATA + b"x", bytes(len(DATA))):
        (tmp_path / "f").write_bytes(data)
        with pytest.raises(StackbuildError):
            download(store, (tmp_path / "f").as_uri())
    assert nothing_kept(store)


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
