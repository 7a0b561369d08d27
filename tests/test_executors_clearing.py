"""A worker's store that has grown is cleared, while nobody performs a step in it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from builder.digest import Digest
from builder.executors import clearing
from builder.executors.clearing import Limit, Room
from builder.store import Store
from builder.workflow import gc


@pytest.fixture(autouse=True)
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clearing, "_EVERY", 0.0)


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as found:
        yield found


def limit(store: Store, size: int) -> Limit:
    return Limit(exceeded=lambda: gc.exceeds(store, size), clear=lambda: gc.shrink(store, size))


def test_it_waits_for_steps_that_are_performed(store: Store, threads: ThreadPoolExecutor) -> None:
    room, go, first = Room(store, limit(store, 50_000)), Event(), Event()
    digest = Digest.of(b"y" * 100_000)

    def long() -> bool:
        with room.entered():
            store.put_blob(b"y" * 100_000)
            first.set()
            assert go.wait(60)
            return store.blob(digest).exists()

    def short() -> bool:
        with room.entered():
            return store.blob(digest).exists()

    one = threads.submit(long)
    assert first.wait(60)
    assert threads.submit(short).result(60)  # It finds the store grown when it ends: the next one waits.
    other = threads.submit(short)
    assert not other.done()
    go.set()
    assert one.result(60)
    assert not other.result(60)


def test_without_a_limit_nothing_goes(store: Store) -> None:
    room = Room(store, None)
    for _ in range(3):
        with room.entered():
            digest = store.put_blob(b"z" * 100_000)
    assert store.blob(digest).exists()


def test_somebody_else_in_the_store_is_left_alone(store: Store) -> None:
    room = Room(store, limit(store, 0))
    digest = store.put_blob(b"z")
    with store.leased(), room.entered():
        assert store.blob(digest).exists()
    with room.entered():
        assert not store.blob(digest).exists()
