"""Bringing pins into the store, and foreseeing a full disk."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from builder.digest import Digest
from builder.errors import Problems, StackbuildError
from builder.fetching import Fetcher, foresee, gigabytes
from builder.lock import Pin
from builder.manifest.read import loads
from builder.net import Client
from builder.store import Store

MANIFEST = """
[project]
name = "test"
platforms = ["linux/amd64"]
[archives.local]
suites = ["stable"]
keyring = "own.gpg"
[layouts.plain]
user = "somebody"
uid = 1000
gid = 0
home = "/home/somebody"
[images.base]
from = "archive:local"
layout = "plain"
"""


def pin(name: str, data: bytes, *, size: int | None = None) -> Pin:
    return Pin(
        kind="apt",
        name=name,
        version="1",
        filename=f"pool/{name}_1_all.deb",
        digest=Digest.of(data),
        size=len(data) if size is None else size,
        source="local",
        fields=(("X-Suite", "stable"),),
    )


@pytest.fixture
def fetcher(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> Fetcher:
    (tmp_path / "mirror/pool").mkdir(parents=True)
    monkeypatch.setenv("STACKBUILD_MIRROR_LOCAL", (tmp_path / "mirror").as_uri())
    return Fetcher(loads(MANIFEST, tmp_path / "stacks.toml"), store, Client())


def test_files_come_from_the_archive_that_the_environment_names(fetcher: Fetcher, store: Store, tmp_path: Path) -> None:
    (tmp_path / "mirror/pool/a_1_all.deb").write_bytes(b"aaa")
    (tmp_path / "mirror/pool/b_1_all.deb").write_bytes(b"b")
    wanted = [pin("b", b"b"), pin("a", b"aaa"), pin("b", b"b")]
    assert [one.name for one in fetcher.missing(wanted)] == ["a", "b"]
    fetcher(wanted)
    assert store.source(Digest.of(b"aaa")).read_bytes() == b"aaa"
    assert fetcher.missing(wanted) == []


def test_what_is_wrong_or_gone_is_told_and_the_rest_kept(fetcher: Fetcher, store: Store, tmp_path: Path) -> None:
    (tmp_path / "mirror/pool/a_1_all.deb").write_bytes(b"other")
    (tmp_path / "mirror/pool/c_1_all.deb").write_bytes(b"ccc")
    with pytest.raises(Problems) as caught:
        fetcher([pin("a", b"wrong"), pin("gone", b"gone"), pin("c", b"ccc")])
    said = [one.what for one in caught.value.problems]
    assert any("wrong digest" in one for one in said)
    assert any("no source has gone==1 any more" in one for one in said)
    assert any("--refresh-missing" in one.next_step for one in caught.value.problems)
    assert [path.name for path in (store.path / "sources/sha256").iterdir()] == [Digest.of(b"ccc").hex]


def test_a_full_disk_is_foreseen(store: Store) -> None:
    foresee(store, [pin("a", b"a")], laid=1)
    with pytest.raises(StackbuildError, match=r"needs [0-9.]+ GB, [0-9.]+ (GB|MB) free") as caught:
        foresee(store, [pin("a", b"a", size=1 << 60)], laid=0)
    assert "STACKBUILD_STORE" in caught.value.next_step


@pytest.mark.parametrize(("size", "text"), [(3_100_000_000, "3.1 GB"), (12_400_000, "12 MB"), (0, "0 MB")])
def test_sizes_read_well(size: int, text: str) -> None:
    assert gigabytes(size) == text


def test_a_file_is_fetched_once_whoever_wants_it(store: Store, tmp_path: Path) -> None:
    """Several builds, and threads of a push, each with a fetcher of its own: each downloaded the file."""
    asked: list[str] = []

    class Slow(Client):
        def download(self, urls: Sequence[str], **options: Any) -> None:
            asked.append(urls[0])
            time.sleep(0.1)
            super().download(urls, **options)

    (tmp_path / "mirror/pool").mkdir(parents=True)
    (tmp_path / "mirror/pool/a_1_all.deb").write_bytes(b"aaa")
    manifest = loads(MANIFEST, tmp_path / "stacks.toml")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STACKBUILD_MIRROR_LOCAL", (tmp_path / "mirror").as_uri())
        with ThreadPoolExecutor(6) as threads:
            list(threads.map(lambda _: Fetcher(manifest, store, Slow())([pin("a", b"aaa")]), range(6)))
    assert len(asked) == 1
    assert not list((store.path / "tmp").glob("*.lock"))


def test_a_stopped_fetcher_begins_nothing_more(fetcher: Fetcher, store: Store, tmp_path: Path) -> None:
    (tmp_path / "mirror/pool/a_1_all.deb").write_bytes(b"aaa")
    (tmp_path / "mirror/pool/b_1_all.deb").write_bytes(b"b")
    fetcher([pin("a", b"aaa")])
    fetcher.stop()
    with pytest.raises(RuntimeError):
        fetcher([pin("b", b"b")])
    assert not store.source(Digest.of(b"b")).exists()
