"""Reading an archive over HTTP: every way in which a mirror can be wrong."""

from __future__ import annotations

import gzip
import lzma
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from builder import limits
from builder.errors import HostileInput, StackbuildError, Unreachable
from builder.kinds.apt import archive as reading
from builder.kinds.apt.archive import Means, Universes
from builder.kinds.apt.places import Host
from builder.manifest.settings import Archive

Stanza = Callable[..., str]
CUTOFF = datetime(2026, 11, 1, tzinfo=UTC)


def read(means: Means, archive: Archive, cutoff: datetime | None = None) -> list[str]:
    return reading.read(means, archive, "amd64", cutoff).names()


def test_good(fake: Any, archive: Archive, means: Means, stanza: Stanza) -> None:
    fake.publish("test", stanza("aa"), stanza("bb"))
    assert read(means, archive, CUTOFF) == ["aa", "bb"]


def test_second_run_needs_only_the_inrelease(fake: Any, archive: Archive, means: Means, stanza: Stanza) -> None:
    fake.publish("test", stanza("aa"))
    assert read(means, archive) == ["aa"]
    shutil.rmtree(fake.folder / "dists/test/main")
    assert read(means, archive) == ["aa"]


def test_many_threads_share_one_universe(fake: Any, archive: Archive, means: Means, stanza: Stanza) -> None:
    fake.publish("test", stanza("aa"))
    universes = Universes(means)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: universes.get(archive, "amd64", CUTOFF), range(16)))
    assert len({id(one) for one in found}) == 1


def test_by_name_where_there_is_no_by_hash(fake: Any, archive: Archive, means: Means, stanza: Stanza) -> None:
    fake.publish("test", stanza("aa"), **{"Acquire-By-Hash": ""})
    shutil.rmtree(fake.folder / "dists/test/main/binary-amd64/by-hash")
    assert read(means, archive) == ["aa"]


def test_mirror_in_the_middle_of_an_update(fake: Any, archive: Archive, means: Means, stanza: Stanza) -> None:
    """The file under its name is newer than the Release file; by its digest the old one is still there."""
    fake.publish("test", stanza("aa"))
    fake.write("dists/test/main/binary-amd64/Packages.xz", lzma.compress(b"newer"))
    assert read(means, archive) == ["aa"]


def test_packages_of_architecture_all_apart(fake: Any, archive: Archive, means: Means, stanza: Stanza) -> None:
    files = fake.packages("test", stanza("aa")) | fake.packages("test", stanza("doc"), arch="all")
    fake.write("dists/test/InRelease", fake.sign(fake.release(files, Architectures="all amd64")))
    assert read(means, archive) == ["aa", "doc"]


def test_missing(archive: Archive, means: Means) -> None:
    with pytest.raises(Unreachable) as caught:
        read(means, archive)
    assert caught.value.what == "archive toy-archive has no usable test"
    assert "404" in str(caught.value) or "cannot GET" in str(caught.value)


def test_no_place_is_known(archive: Archive, means: Means) -> None:
    with pytest.raises(Unreachable, match="no place is known") as caught:
        read(replace(means, host=Host(environ={})), archive)
    assert "STACKBUILD_MIRROR_TOY_ARCHIVE" in caught.value.next_step


def test_bad_signature(fake: Any, archive: Archive, means: Means, stanza: Stanza) -> None:
    fake.publish("test", stanza("aa"))
    path = fake.folder / "dists/test/InRelease"
    path.write_bytes(path.read_bytes().replace(b"Suite: stable", b"Suite: staple"))
    with pytest.raises(HostileInput, match="bad signature"):
        read(means, archive)


def test_foreign_key(fake: Any, archive: Archive, means: Means, stanza: Stanza) -> None:
    files = fake.packages("test", stanza("aa"))
    fake.write("dists/test/InRelease", fake.sign(fake.release(files), fake.foreign))
    with pytest.raises(HostileInput, match="bad signature"):
        read(means, archive)


def test_text_appended_outside_of_the_signature(fake: Any, archive: Archive, means: Means, stanza: Stanza) -> None:
    fake.publish("test", stanza("aa"))
    path = fake.folder / "dists/test/InRelease"
    path.write_bytes(path.read_bytes() + b"SHA256:\n")
    with pytest.raises(HostileInput, match="outside of the signed text"):
        read(means, archive)


def test_suite_swapped(fake: Any, archive: Archive, means: Means, stanza: Stanza) -> None:
    fake.publish("test", stanza("aa"), Codename="other")
    with pytest.raises(HostileInput, match="another suite than was asked"):
        read(means, archive)


def test_truncated_packages(fake: Any, archive: Archive, means: Means, stanza: Stanza) -> None:
    files = fake.packages("test", stanza("aa"))
    fake.write("dists/test/InRelease", fake.sign(fake.release(files)))
    for path in (fake.folder / "dists/test/main").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(Unreachable, match="truncated download"):
        read(means, archive)
    assert not list((means.store.path / "sources/sha256").iterdir())


def test_wrong_digest(fake: Any, archive: Archive, means: Means, stanza: Stanza) -> None:
    files = fake.packages("test", stanza("aa"))
    fake.write("dists/test/InRelease", fake.sign(fake.release(files)))
    for path in (fake.folder / "dists/test/main").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(HostileInput, match="wrong digest"):
        read(means, archive)


def test_bomb(fake: Any, archive: Archive, means: Means) -> None:
    """The signed size of the plain file bounds what is unpacked."""
    files = {
        "main/binary-amd64/Packages": b"small",
        "main/binary-amd64/Packages.xz": lzma.compress(bytes(9 << 20)),
    }
    for path, data in files.items():
        fake.write(f"dists/test/{path}", data)
    fake.write("dists/test/InRelease", fake.sign(fake.release(files, **{"Acquire-By-Hash": ""})))
    with pytest.raises(HostileInput, match="another size"):
        read(means, archive)


@pytest.mark.parametrize("end", ["", ".xz"])
def test_index_that_its_release_says_is_too_long(
    end: str, fake: Any, archive: Archive, means: Means, stanza: Stanza
) -> None:
    """Whatever is signed: nothing of it is fetched."""
    files = fake.packages("test", stanza("aa"))
    said = fake.release(files).replace(
        f" {len(files[f'main/binary-amd64/Packages{end}'])} main/binary-amd64/Packages{end}\n",
        f" {limits.PACKAGES + 1} main/binary-amd64/Packages{end}\n",
    )
    fake.write("dists/test/InRelease", fake.sign(said))
    with pytest.raises(HostileInput, match="package index is too long") as caught:
        read(means, archive)
    assert caught.value.expected == "at most 268,435,456 bytes, packed and unpacked"
    assert caught.value.got == "268,435,457 bytes, by its Release"
    assert not list((means.store.path / "sources/sha256").iterdir())


@pytest.mark.parametrize("pack", [lzma.compress, gzip.compress])
def test_bomb_of_an_index_without_a_plain_size(
    pack: Callable[[bytes], bytes], fake: Any, archive: Archive, means: Means, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PACKAGES", 1 << 20)
    path = "main/binary-amd64/Packages." + ("gz" if pack is gzip.compress else "xz")
    files = {path: pack(bytes(9 << 20))}
    fake.write(f"dists/test/{path}", files[path])
    fake.write("dists/test/InRelease", fake.sign(fake.release(files, **{"Acquire-By-Hash": ""})))
    with pytest.raises(HostileInput, match="package index is too long"):
        read(means, archive)


def test_component_that_is_not_there(fake: Any, archive: Archive, means: Means, stanza: Stanza) -> None:
    fake.publish("test", stanza("aa"))
    with pytest.raises(StackbuildError, match="suite test has no contrib for amd64"):
        read(means, replace(archive, components=("main", "contrib")))


def test_newer_than_the_cutoff(fake: Any, archive: Archive, means: Means, stanza: Stanza) -> None:
    fake.publish("test", stanza("aa"), Date="Thu, 19 Nov 2026 02:12:54 UTC")
    with pytest.raises(Unreachable) as caught:
        read(means, archive, CUTOFF)
    told = str(caught.value)
    assert "as of 2026-11-01" in told and "Date 2026-11-19 02:12:54 UTC" in told
    assert read(means, archive) == ["aa"]


def test_a_bad_place_is_passed_over(fake: Any, archive: Archive, means: Means, stanza: Stanza) -> None:
    """The first mirror is too new; the second, here a folder, is of the right day."""
    fake.publish("test", stanza("new"), Date="Thu, 19 Nov 2026 02:12:54 UTC")
    old = replace(fake, folder=fake.folder.parent / "snapshot")
    old.publish("test", stanza("old"))
    mirrors = {"STACKBUILD_MIRROR_TOY_ARCHIVE": f"{fake.url} {old.folder.as_uri()}"}
    assert read(replace(means, host=Host(environ=mirrors)), archive, CUTOFF) == ["old"]
    assert read(replace(means, host=Host(environ=mirrors)), archive) == ["new"]


def test_expired(fake: Any, archive: Archive, means: Means, stanza: Stanza) -> None:
    fake.publish("test", stanza("aa"), **{"Valid-Until": "Sat, 18 Jul 2026 10:16:37 UTC"})
    with pytest.raises(HostileInput, match="expired"):
        read(means, archive)
    assert read(means, archive, datetime(2026, 7, 12, tzinfo=UTC)) == ["aa"]
