"""Layers of packages: what is checked when they are written, and what two packages may share."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from builder import listing, unpacked
from builder.compression import codec
from builder.errors import HostileInput, StackbuildError
from builder.kinds.conda.clash import clashes
from builder.kinds.conda.link import Place
from builder.kinds.conda.part import Layer, Packed, write_packages
from builder.store import Store
from tests.conda_packages import Made, Piece, native, noarch, package, stored
from tests.tools import Host

PLACE = Place(prefix="/opt/conda", python="3.11", site="lib/python3.11/site-packages")


def layer(*packages: Packed, history: bool = False, scripts: frozenset[str] = frozenset()) -> Layer:
    return Layer(
        name="conda/x", packages=packages, place=PLACE, zips={}, codec=codec("gzip"), scripts=scripts, history=history
    )


def pair(folder: Path, one: bytes, other: bytes, *, mode: int = 0o644) -> tuple[Made, Made]:
    """Two packages with the same path."""
    return (
        package(folder, "one", [Piece(path="share/both", data=one)]),
        package(folder, "two", [Piece(path="share/both", data=other, mode=mode)]),
    )


def test_equal_twice(store: Store, tmp_path: Path) -> None:
    packages = stored(store, native(tmp_path), noarch(tmp_path))
    one = write_packages(store, layer(*packages))
    other = Store.open(tmp_path / "other")
    assert write_packages(other, layer(*stored(other, native(tmp_path), noarch(tmp_path)))) == one


def test_order_of_packages_is_no_matter(store: Store, tmp_path: Path) -> None:
    one, two = stored(store, native(tmp_path), noarch(tmp_path))
    assert write_packages(store, layer(one, two)) == write_packages(store, layer(two, one))


def test_folders_and_history(store: Store, tmp_path: Path) -> None:
    packages = stored(store, native(tmp_path))
    found = {one.path: one for one in listing.read(store, write_packages(store, layer(*packages, history=True)))}
    assert (found["opt"].mode, found["opt/conda"].mode, found["opt/conda/lib"].mode) == ("0755", "0775", "0775")
    assert (found["opt/conda/conda-meta/history"].size, found["opt/conda/conda-meta/history"].mode) == (0, "0664")
    without = {one.path for one in listing.read(store, write_packages(store, layer(*packages)))}
    assert "opt/conda/conda-meta/history" not in without


def test_right_md5_of_another_file(store: Store, tmp_path: Path) -> None:
    """sha256 decides what is fetched; a pin whose md5 says otherwise is none that a channel gave."""
    (packed,) = stored(store, native(tmp_path))
    wrong = Packed(record={**packed.record, "md5": hashlib.md5(b"other").hexdigest()})
    with pytest.raises(HostileInput, match="not what its pin says") as caught:
        write_packages(store, layer(wrong))
    assert "though the sha256 is right" in caught.value.got


def test_right_sha256_wrong_bytes(store: Store, tmp_path: Path) -> None:
    (packed,) = stored(store, native(tmp_path))
    store.source(packed.digest).write_bytes(b"other")
    with pytest.raises(HostileInput, match="has changed"):
        write_packages(store, layer(packed))


def test_wrong_digest_in_paths(store: Store, tmp_path: Path) -> None:
    """Nothing of the layer is kept."""
    made = package(
        tmp_path,
        "liar",
        [Piece(path="share/x", data=b"x")],
        rows=lambda rows: [{**row, "sha256": hashlib.sha256(b"y").hexdigest()} for row in rows],
    )
    with pytest.raises(HostileInput, match="not what it claims: liar") as caught:
        write_packages(store, layer(*stored(store, made)))
    assert caught.value.where == "opt/conda/share/x"
    assert not list((store.path / "images/blobs/sha256").iterdir())
    assert list(store.scratch.iterdir()) == []


def test_file_that_two_bring_alike(store: Store, tmp_path: Path) -> None:
    packages = stored(store, *pair(tmp_path, b"same", b"same"))
    found = {one.path: one for one in listing.read(store, write_packages(store, layer(*packages)))}
    assert found["opt/conda/share/both"].owner == "one"


@pytest.mark.parametrize(("other", "mode"), [(b"else", 0o644), (b"same", 0o755)])
def test_file_that_two_bring_otherwise(store: Store, tmp_path: Path, other: bytes, mode: int) -> None:
    packages = stored(store, *pair(tmp_path, b"same", other, mode=mode))
    with pytest.raises(StackbuildError, match="two packages bring opt/conda/share/both"):
        write_packages(store, layer(*packages))


@pytest.mark.parametrize(("other", "mode", "clash"), [(b"same", 0o644, 0), (b"else", 0o644, 1), (b"same", 0o755, 1)])
def test_the_same_in_two_layers(store: Store, tmp_path: Path, other: bytes, mode: int, clash: int) -> None:
    one, two = stored(store, *pair(tmp_path, b"same", other, mode=mode))
    layers = [write_packages(store, layer(one)), write_packages(store, layer(two))]
    assert list(clashes(store, layers)) == [("opt/conda/share/both", "one", "two")] * clash


def test_file_and_folder_in_two_layers(store: Store, tmp_path: Path) -> None:
    made = [
        package(tmp_path, "one", [Piece(path="share/x", data=b"file")]),
        package(tmp_path, "two", [Piece(path="share/x/y", data=b"below")]),
    ]
    layers = [write_packages(store, layer(packed)) for packed in stored(store, *made)]
    assert list(clashes(store, layers)) == [("opt/conda/share/x", "one", "two")]
    with pytest.raises(StackbuildError, match="is to be a file, and a folder"):
        write_packages(store, layer(*stored(store, *made)))


def scripted(folder: Path, kind: str) -> Made:
    return package(folder, "scripted", [Piece(path=f"bin/.scripted-{kind}.sh", data=b"true\n", mode=0o755)])


def test_script_that_nobody_allowed(store: Store, tmp_path: Path) -> None:
    packages = stored(store, scripted(tmp_path, "post-link"))
    with pytest.raises(StackbuildError, match="has a post-link script") as caught:
        write_packages(store, layer(*packages))
    assert 'conda-scripts = ["scripted"]' in caught.value.expected
    found = write_packages(store, layer(*packages, scripts=frozenset({"scripted"})))
    assert any(one.path.endswith("-post-link.sh") for one in listing.read(store, found))


def test_scripts_of_other_times(store: Store, tmp_path: Path) -> None:
    """One before linking is run by nobody; one for removal does nothing now."""
    with pytest.raises(StackbuildError, match="has a pre-link script"):
        write_packages(store, layer(*stored(store, scripted(tmp_path, "pre-link")), scripts=frozenset({"scripted"})))
    assert write_packages(store, layer(*stored(store, scripted(tmp_path / "2", "pre-unlink"))))


def test_meta_in_the_layer_is_of_the_lock(store: Store, tmp_path: Path, host: Host) -> None:
    """A channel may correct what a package depends on; the lock has the corrected text."""
    (packed,) = stored(store, native(tmp_path))
    fixed = replace(packed, record={**packed.record, "depends": ["__glibc >=2.28"], "constrains": ["other <2"]})
    (root,) = unpacked.layers(store, [write_packages(store, layer(fixed))])
    told = json.loads((root / "opt/conda/conda-meta/libtiny-1.0-h1_0.json").read_bytes())
    assert (told["depends"], told["constrains"]) == (["__glibc >=2.28"], ["other <2"])
