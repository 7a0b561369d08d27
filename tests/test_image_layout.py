"""The names of a store's images: one file that many processes write, and that somebody may damage or remove."""

from __future__ import annotations

import json
import multiprocessing
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from builder.errors import StackbuildError
from builder.store import Store


def _tag_many(path: Path, word: str) -> None:
    store = Store(path)
    for number in range(40):
        store.images.tag(f"{word}-{number}", {"digest": f"{word}{number}", "size": number})


def test_index_is_written_by_many_processes_at_once(store: Store) -> None:
    context = multiprocessing.get_context("spawn")
    words = ("a", "b", "c")
    running = [context.Process(target=_tag_many, args=(store.path, word)) for word in words]
    for one in running:
        one.start()
    for one in running:
        one.join(60)
    names = [f"{word}-{number}" for word in words for number in range(40)]
    assert set(names) <= store.images.tags().keys()
    index = json.loads((store.path / "images/index.json").read_bytes())
    assert [one["annotations"]["org.opencontainers.image.ref.name"] for one in index["manifests"]] == sorted(names)


def test_store_made_twice_at_once_keeps_its_tags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second process that was creating the same store wrote an empty index over the first one's tags."""
    store = Store(tmp_path / "store")
    reached, late = threading.Event(), threading.Event()
    exists = Path.exists

    def slow(path: Path, **options: bool) -> bool:
        found = exists(path, **options)
        if path.name == "index.json" and threading.current_thread().name == "second":
            reached.set()
            late.wait(0.3)
        return found

    monkeypatch.setattr(Path, "exists", slow)
    second = threading.Thread(target=Store.open, args=(store.path,), name="second")
    second.start()
    assert reached.wait(60)
    Store.open(store.path).images.tag("mine", {"size": 1})
    late.set()
    second.join()
    assert "mine" in store.images.tags()


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"{}", b'{"manifests": 1}'])
def test_damaged_index_says_what_to_do(data: bytes, store: Store) -> None:
    (store.path / "images/index.json").write_bytes(data)
    uses: list[Callable[[], object]] = [store.images.tags, lambda: store.images.tag("x", {})]
    for use in uses:
        with pytest.raises(StackbuildError, match="image index is damaged") as caught:
            use()
        assert "rm " in caught.value.next_step


def test_index_that_was_removed_is_made_anew(store: Store) -> None:
    """The error about a damaged index has one remove it; then there was the same error about a missing one."""
    (store.path / "images/index.json").unlink()
    assert store.images.tags() == {}
    with pytest.raises(StackbuildError, match="image index is damaged"):
        store.images.indexed()  # For the collector, who would take every image for unnamed.
    store.images.tag("a", {"digest": "1"})
    assert store.images.tags() == {"a": "1"}
    assert store.images.indexed() == ("1",)


def test_tag_moves(store: Store) -> None:
    store.images.tag("a", {"digest": "1"})
    store.images.tag("b", {"digest": "2"})
    store.images.tag("a", {"digest": "3"})
    assert store.images.tags() == {"a": "3", "b": "2"}
