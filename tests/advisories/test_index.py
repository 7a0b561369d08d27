"""A database in files, by package: whatever its form, the same; kept by its content; hostile until it was counted."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from builder.advisories.index import Index, open_index
from builder.advisories.reading import Limits
from builder.ecosystem import Known
from builder.errors import HostileInput, StackbuildError
from builder.store import Store
from tests.osv import affected, encoded, entry, folder, zipped

ENTRIES = [
    entry("PYSEC-1", affected("PyPI", "jinja2", {"introduced": "0"}, {"fixed": "3"})),
    entry("GHSA-2", affected("PyPI", "Jinja2", {"introduced": "0"}), affected("npm", "ws", {"introduced": "0"})),
    entry("GO-1", affected("Go", "example.com/x", {"introduced": "0"})),
]
WANTED = frozenset({Known("PyPI", "jinja2", "1"), Known("npm", "ws", "1"), Known("Go", "example.com/x", "1")})
OURS = {"PyPI", "npm"}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "store")


def told(index: Index) -> dict[tuple[str, str], list[str]]:
    return {key: [one.id for one in found] for key, found in index.about(WANTED).items()}


ALL = {("PyPI", "jinja2"): ["GHSA-2", "PYSEC-1"], ("npm", "ws"): ["GHSA-2"]}


def test_every_form_says_the_same(tmp_path: Path, store: Store) -> None:
    lines = tmp_path / "all.jsonl"
    lines.write_bytes(b"\n\n".join(map(encoded, ENTRIES)))
    mixed = folder(tmp_path / "mixed" / "deeper", ENTRIES[1:]).parent
    zipped(mixed / "PyPI.zip", ENTRIES[:1])
    (mixed / "README.md").write_text("no entry")
    for place in (folder(tmp_path / "folder", ENTRIES), zipped(tmp_path / "all.zip", ENTRIES), lines, mixed):
        index = open_index(place, store, OURS)
        assert told(index) == ALL, place
        assert (index.entries, index.damaged) == (3, 0)


def test_an_index_is_made_once_for_each_content(tmp_path: Path, store: Store) -> None:
    place = folder(tmp_path / "folder", ENTRIES[:1])
    open_index(place, store, OURS)
    (made,) = (store.path / "advisories").iterdir()
    before = made.stat().st_ino
    open_index(place, store, OURS)
    assert made.stat().st_ino == before
    folder(place, ENTRIES)
    assert told(open_index(place, store, OURS)) == ALL
    assert len(list((store.path / "advisories").iterdir())) == 2


def test_a_damaged_index_is_made_again(tmp_path: Path, store: Store) -> None:
    place = folder(tmp_path / "folder", ENTRIES)
    open_index(place, store, OURS)
    (made,) = (store.path / "advisories").iterdir()
    data = made.read_bytes()
    for broken in (data[:-10], data.replace(b"jinja2", b"jinja3"), b""):
        made.write_bytes(broken)
        assert told(open_index(place, store, OURS)) == ALL
        assert made.read_bytes() == data


def test_of_an_entry_in_two_files_the_newer_counts(tmp_path: Path, store: Store) -> None:
    old = entry("PYSEC-1", affected("PyPI", "jinja2"), modified="2025-01-01T00:00:00Z", summary="old")
    new = {**old, "modified": "2026-01-01T00:00:00Z", "summary": "new"}
    for number, order in enumerate(((old, new), (new, old))):
        place = tmp_path / f"{number}.jsonl"
        place.write_bytes(b"\n".join(map(encoded, order)))
        ((found,),) = open_index(place, store, OURS).about(WANTED).values()
        assert found.summary == "new"


def test_damaged_entries_are_counted_not_hidden(tmp_path: Path, store: Store) -> None:
    place = folder(tmp_path / "folder", ENTRIES)
    (place / "broken.json").write_text('{"id": "X", "affected": 3}')
    index = open_index(place, store, OURS)
    assert told(index) == ALL
    assert (index.entries, index.damaged) == (4, 1)
    assert "broken.json" in index.unread[0]


@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.zip"])
def test_what_is_no_database_is_refused(tmp_path: Path, store: Store, name: str) -> None:
    (tmp_path / name).write_bytes(b"<html>not here</html>")
    with pytest.raises(HostileInput):
        open_index(tmp_path / name, store, OURS)
    assert not (store.path / "advisories").exists()


def test_no_such_thing(tmp_path: Path, store: Store) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.txt").write_text("")
    for name in ("nowhere", "empty", "a.txt"):
        with pytest.raises(StackbuildError):
            open_index(tmp_path / name, store, OURS)


def test_a_bomb_is_not_unpacked(tmp_path: Path, store: Store) -> None:
    """A member of a gigabyte in a megabyte: one entry too long, and no more of it is read than an entry has."""
    place = zipped(tmp_path / "all.zip", ENTRIES)
    with zipfile.ZipFile(place, "a", zipfile.ZIP_DEFLATED) as archive, archive.open("bomb.json", "w") as member:
        for _ in range(64):
            member.write(bytes(1 << 20))
    index = open_index(place, store, OURS)
    assert told(index) == ALL and index.damaged == 1
    with pytest.raises(HostileInput, match="larger than any"):
        open_index(place, store, {"PyPI"}, Limits(size=1 << 20))


def test_more_entries_than_any_are_refused(tmp_path: Path, store: Store) -> None:
    with pytest.raises(HostileInput, match="larger than any"):
        open_index(zipped(tmp_path / "all.zip", ENTRIES), store, OURS, Limits(entries=2))


def test_names_in_a_zip_are_no_paths(tmp_path: Path, store: Store) -> None:
    place = tmp_path / "all.zip"
    with zipfile.ZipFile(place, "w") as archive:
        archive.writestr("../../escaped.json", encoded(ENTRIES[0]))
        archive.writestr("/abs.json", encoded(ENTRIES[1]))
    before = sorted(tmp_path.rglob("*.json"))
    assert told(open_index(place, store, OURS)) == ALL
    assert sorted(tmp_path.rglob("*.json")) == before


def test_an_encrypted_or_cut_zip_is_refused(tmp_path: Path, store: Store) -> None:
    data = zipped(tmp_path / "all.zip", ENTRIES).read_bytes()
    place = tmp_path / "other.zip"
    flagged = bytearray(data)
    flagged[6] |= 1
    flagged[data.index(b"PK\x01\x02") + 8] |= 1
    for broken in (bytes(flagged), data[: len(data) // 2], data.replace(b"PK\x03\x04", b"PK\x03\x05")):
        place.write_bytes(broken)
        with pytest.raises(HostileInput):
            open_index(place, store, OURS)


def test_links_in_a_folder_are_passed_over(tmp_path: Path, store: Store) -> None:
    place = folder(tmp_path / "folder", ENTRIES)
    (tmp_path / "secret.json").write_bytes(encoded(entry("SECRET-1", affected("PyPI", "jinja2"))))
    (place / "link.json").symlink_to(tmp_path / "secret.json")
    assert told(open_index(place, store, OURS)) == ALL


def test_hostile_names_stay_names(tmp_path: Path, store: Store) -> None:
    name = 'a"],"\n../../x\u202e'
    place = folder(tmp_path / "folder", [entry("A-1", affected("npm", name))])
    ((found,),) = open_index(place, store, OURS).about(frozenset({Known("npm", name, "1")})).values()
    assert found.name == name
    assert json.loads(next((store.path / "advisories").iterdir()).read_bytes().split(b"\n")[0])["entries"] == 1
