"""What rooms take and give back: each byte once, whatever the number of its names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from builder import weighing
from builder.sweeping import Entry, Room
from builder.weighing import Weight


def weighed(folder: Path, *rooms: tuple[str, dict[str, bool]]) -> list[Weight]:
    found = [
        Room(name=name, entries=tuple(Entry(folder / path, kept) for path, kept in entries.items()))
        for name, entries in rooms
    ]
    return list(weighing.weights(found, weighing.files(found), {}))


def test_files_and_folders(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    (tmp_path / "tree/below").mkdir(parents=True)
    (tmp_path / "tree/below/b").write_bytes(b"123")
    (tmp_path / "tree/link").symlink_to("x")
    found = weighed(tmp_path, ("one/two", {"a": True, "tree": False, "vanished": True}), ("empty", {}))
    assert found == [Weight(room="one", kept=2, kept_bytes=5, freed=1, freed_bytes=4)]


def test_folder_that_was_moved(tmp_path: Path) -> None:
    (tmp_path / "now").mkdir()
    (tmp_path / "now/b").write_bytes(b"123")
    room = Room(name="r", entries=(Entry(tmp_path / "before", False),))
    (found,) = weighing.weights([room], {}, {tmp_path / "before": tmp_path / "now"})
    assert (found.freed, found.freed_bytes) == (1, 3)


def test_a_file_with_two_names_is_counted_where_it_stays_or_goes_last(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"12345")
    os.link(tmp_path / "source", tmp_path / "blob")

    def sizes(source: bool, blob: bool) -> list[tuple[int, int]]:
        found = weighed(tmp_path, ("sources", {"source": source}), ("blobs", {"blob": blob}))
        return [(one.kept_bytes, one.freed_bytes) for one in found]

    assert sizes(True, True) == [(5, 0), (0, 0)]
    assert sizes(False, True) == [(0, 0), (5, 0)]
    assert sizes(False, False) == [(0, 0), (0, 5)]
    os.link(tmp_path / "source", tmp_path / "elsewhere")
    assert sizes(False, False) == [(0, 0), (0, 0)], "it goes from here, and not from the disk"


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("20GB", 20 * 10**9),
        ("1.5 TB", 1500 * 10**9),
        (" 512MiB ", 512 << 20),
        ("4kB", 4000),
        ("0GB", 0),
        *((text, None) for text in ("", "20", "GB", "-1GB", "1e3GB", "20 gb", "1..5GB", "20GBs", "9" * 400 + "GB")),
    ],
)
def test_sizes_that_people_write(text: str, size: int | None) -> None:
    assert weighing.size_of(text) == size


def test_file_with_two_names_weighs_one_inode(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    os.link(tmp_path / "a", tmp_path / "b")
    assert weighing.weigh(tmp_path / "a") == weighing.weigh(tmp_path / "b")
    assert weighing.weigh(tmp_path / "a").size == 5
    assert weighing.weigh(tmp_path).size == 10
    assert weighing.weigh(tmp_path / "gone").size == 0
