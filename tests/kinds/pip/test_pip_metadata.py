"""METADATA of remote wheels, with few bytes."""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import replace
from typing import Any

import pytest

from builder.digest import Digest
from builder.errors import HostileInput
from builder.kinds.pip.index import Indexes
from builder.kinds.pip.metadata import read, requires_dist
from builder.kinds.pip.page import IndexFile
from builder.net import Client
from builder.store import Store


def the_file(index: Any) -> IndexFile:
    (found,) = Indexes(Client(), {}, {"PIP_INDEX_URL": index.url}).files("tiny")
    index.asked.clear()
    return found


def asked(index: Any) -> list[tuple[str, str]]:
    return [(method, wanted) for method, path, wanted in index.asked if path.startswith("/files/")]


def test_ranges_fetch_the_end_only(index: Any, client: Client, store: Store) -> None:
    data = index.wheel("tiny", "1.0", "six>=1", "attrs ; extra == 'x'", padding=3 << 20)
    file = the_file(index)
    digest = Digest.of(data)
    text, size = read(file, digest, client, store)
    assert size == len(data)
    assert requires_dist(text) == ["six>=1", "attrs ; extra == 'x'"]
    assert asked(index) == [("GET", "bytes=-65536")]
    index.asked.clear()
    assert read(replace(file, size=size), digest, client, store) == (text, size)
    assert asked(index) == []


def test_metadata_far_from_the_end_takes_one_range_more(index: Any, client: Client, store: Store) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("tiny-1.0.dist-info/METADATA", "Name: tiny\nVersion: 1.0\nRequires-Dist: six\n")
        archive.writestr("data.bin", hashlib.shake_256(b"").digest(1 << 20))
    index.publish("tiny", "tiny-1.0-py3-none-any.whl", out.getvalue())
    text, _ = read(the_file(index), Digest.of(out.getvalue()), client, store)
    assert requires_dist(text) == ["six"]
    assert asked(index) == [("GET", "bytes=-65536"), ("GET", "bytes=0-65535")]


def test_without_ranges_the_whole_wheel_comes_and_stays(index: Any, client: Client, store: Store) -> None:
    data = index.wheel("tiny", "1.0", "six")
    index.ranges = False
    text, size = read(the_file(index), Digest.of(data), client, store)
    assert (requires_dist(text), size) == (["six"], len(data))
    assert store.source(Digest.of(data)).read_bytes() == data


def test_a_digest_mismatch_keeps_nothing(index: Any, client: Client, store: Store) -> None:
    index.wheel("tiny", "1.0", "six")
    index.ranges = False
    wrong = Digest.of(b"something else")
    with pytest.raises(HostileInput, match="wrong digest"):
        read(the_file(index), wrong, client, store)
    assert not store.source(wrong).exists()
    assert not (store.path / "metadata" / f"wheel-{wrong.hex}").exists()


def test_the_sidecar_is_taken_where_it_is_offered(index: Any, client: Client, store: Store) -> None:
    index.json = True
    data = index.wheel("tiny", "1.0", "six", sidecar=True)
    member = index.content["/files/tiny-1.0-py3-none-any.whl.metadata"]
    index.projects["tiny"]["tiny-1.0-py3-none-any.whl"]["sidecar"] = hashlib.sha256(member).hexdigest()
    text, size = read(the_file(index), Digest.of(data), client, store)
    assert (requires_dist(text), size) == (["six"], len(data))
    assert [path for _, path, _ in index.asked] == ["/files/tiny-1.0-py3-none-any.whl.metadata"]


def test_a_sidecar_with_another_digest_is_refused(index: Any, client: Client, store: Store) -> None:
    index.json = True
    data = index.wheel("tiny", "1.0", sidecar="0" * 64)
    with pytest.raises(HostileInput, match="wrong digest"):
        read(the_file(index), Digest.of(data), client, store)


def test_a_promised_sidecar_that_is_missing(index: Any, client: Client, store: Store) -> None:
    data = index.wheel("tiny", "1.0", "six", sidecar=True)
    del index.content["/files/tiny-1.0-py3-none-any.whl.metadata"]
    assert requires_dist(read(the_file(index), Digest.of(data), client, store)[0]) == ["six"]


def test_what_is_no_wheel(index: Any, client: Client, store: Store) -> None:
    empty = io.BytesIO()
    zipfile.ZipFile(empty, "w").close()
    for n, data in enumerate((b"no zip at all", b"PK\x05\x06" + b"\xff" * 18, empty.getvalue())):
        index.publish("tiny", "tiny-1.0-py3-none-any.whl", data)
        with pytest.raises(HostileInput, match=r"not a wheel|zip wants"):
            read(the_file(index), Digest.of(bytes([n])), client, store)


def test_another_projects_metadata_is_not_taken(index: Any, client: Client, store: Store) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("other-1.0.dist-info/METADATA", "Requires-Dist: evil\n")
    index.publish("tiny", "tiny-1.0-py3-none-any.whl", out.getvalue())
    with pytest.raises(HostileInput, match="not a wheel"):
        read(the_file(index), Digest.of(b""), client, store)


def test_folded_lines_are_one_requirement() -> None:
    assert requires_dist("Name: x\nRequires-Dist: a\n  >=1\nRequires-Dist: b\n\nRequires-Dist: body") == [
        "a >=1",
        "b",
    ]
