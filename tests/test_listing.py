"""Entry lists: which folders stand, and who brings what twice."""

from __future__ import annotations

from typing import Any

import pytest

from builder.compression import codec
from builder.errors import HostileInput, StackbuildError
from builder.listing import folders, read
from builder.parts import write_part
from builder.store import Store
from builder.tree import Bytes, Entry


def layer(store: Store, *entries: Entry) -> dict[str, Any]:
    return write_part(store, "x", sorted(entries, key=lambda entry: entry.path.encode()), codec("gzip"))


def file(path: str, owner: str, data: bytes = b"1", mode: int = 0o644) -> Entry:
    return Entry(path, "file", mode, content=Bytes(data), owner=owner)


def test_list_names_every_entry(store: Store) -> None:
    odd = "tab\tand\nnewline\\n"
    made = layer(store, file(odd, "one"), Entry("l", "link", 0o777, target=odd), Entry("d", "dir", 0o1777, 5, 6))
    found = {entry.path: entry for entry in read(store, made)}
    assert found[odd].owner == "one"
    assert found["l"].mark == f"-> {odd}"
    assert (found["d"].mode, found["d"].ids) == ("1777", "5:6")


def test_list_is_gone_or_damaged(store: Store) -> None:
    """A flipped bit in a list was read as it stood; only other files of the store were checked."""
    made = layer(store, file("x", "one"))
    path = store.source(made["listing"])
    path.write_bytes(path.read_bytes().replace(b"0644", b"0645"))
    with pytest.raises(HostileInput, match="has changed"):
        list(read(store, made))
    with pytest.raises(StackbuildError, match="gone from the store"):
        list(read(store, made))


def test_folders_that_stand(store: Store) -> None:
    def after(*layers: dict[str, Any]) -> tuple[set[str], dict[str, str]]:
        stand, links = folders(store, [{"layers": [one]} for one in layers])
        return set(stand), links

    base = layer(
        store,
        Entry("a", "dir"),
        Entry("a/b", "dir"),
        Entry("a/b/l", "link", target="x"),
        Entry("l", "link", target="a"),
    )
    assert after(base) == ({"a", "a/b"}, {"a/b/l": "x", "l": "a"})
    assert after(base, layer(store, Entry("l", "dir"))) == ({"a", "a/b", "l"}, {"a/b/l": "x"})
    assert after(base, layer(store, Entry("a/b", "whiteout"))) == ({"a"}, {"l": "a"})
    assert after(base, layer(store, Entry("a", "whiteout"))) == (set(), {"l": "a"})
    assert after(base, layer(store, Entry("a/.wh..opq", "whiteout"))) == ({"a"}, {"l": "a"})
    assert after(base, layer(store, file("a", "x"))) == (set(), {"l": "a"})
    assert after(base, layer(store, Entry("a", "link", target="b"))) == (set(), {"l": "a", "a": "b"})
