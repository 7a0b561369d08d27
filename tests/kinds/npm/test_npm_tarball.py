"""Tarballs from a registry are hostile until they were read to the end."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from builder.errors import HostileInput
from builder.kinds.npm import tarball as subject
from builder.store import Store
from tests.kinds.npm.conftest import package, stored, tarball

MANIFEST = {"name": "a", "version": "1.0.0"}


def info(name: str, kind: bytes = tarfile.REGTYPE, **fields: Any) -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type = kind
    for key, value in fields.items():
        setattr(found, key, value)
    return found


def names(store: Store, data: bytes) -> list[str]:
    one = stored(store, data, package("node_modules/a"))
    assert one.digest is not None
    return [member.path for member in subject.members(store.source(one.digest), "a")]


def test_files_come_as_npm_unpacks_them(store: Store) -> None:
    """The first folder goes, whatever its name; links and folders too; a .gitignore is an .npmignore."""
    data = tarball(
        [
            ("package/index.js", b"1"), ("other/lib/x.js", b"2"), ("./package/y.js", b"3"), ("toplevel", b"4"),
            info("package/lib", tarfile.DIRTYPE), info("package/out", tarfile.SYMTYPE, linkname="/etc/passwd"),
            info("package/hard", tarfile.LNKTYPE, linkname="../../../etc/passwd"), ("package/.gitignore", b"5"),
            ("package/sub/.npmignore", b"6"), ("package/sub/.gitignore", b"7"),
        ]
    )  # fmt: skip
    assert names(store, data) == ["index.js", "lib/x.js", "y.js", ".npmignore", "sub/.npmignore"]


@pytest.mark.parametrize(
    "member",
    [
        ("package/../../etc/passwd", b""), ("/etc/cron.d/x", b""), ("../package/x", b""), ("package/..", b""),
        ("package/a\\b", b""), ("package/a\nb", b""), info("package/dev", tarfile.CHRTYPE),
        info("package/fifo", tarfile.FIFOTYPE), info("package/disk", tarfile.BLKTYPE),
    ],
)  # fmt: skip
def test_what_no_package_may_hold(member: Any, store: Store) -> None:
    with pytest.raises(HostileInput):
        names(store, tarball([member]))


@pytest.mark.parametrize(
    "data",
    [b"", b"x" * 100, gzip.compress(b"x" * 2000), tarball([("package/a", b"1" * 4000)])[:-40]],
    ids=["empty", "no gzip", "no tar", "cut off"],
)
def test_damaged(data: bytes, store: Store) -> None:
    with pytest.raises(HostileInput, match="malformed npm package"):
        names(store, data)


def test_bombs(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HostileInput, match="too large"):
        names(store, _claiming(subject._MOST_BYTES + 1))
    monkeypatch.setattr(subject, "_MOST_FILES", 3)
    with pytest.raises(HostileInput, match="too large"):
        names(store, tarball([(f"package/{n}", b"") for n in range(4)]))


def test_a_header_that_claims_gigabytes_is_not_read(store: Store) -> None:
    """An extended header is read into memory whole, however large it says it is."""
    header = info("pax", tarfile.XHDTYPE, size=3 << 30)
    with pytest.raises(HostileInput, match="malformed npm package"):
        names(store, gzip.compress(header.tobuf(tarfile.USTAR_FORMAT) + bytes(10240)))


def _claiming(size: int) -> bytes:
    return gzip.compress(info("package/big", size=size).tobuf(tarfile.GNU_FORMAT) + bytes(10240))


@pytest.mark.parametrize(
    ("manifest", "gyp", "scripts"),
    [
        ({}, False, ()),
        ({}, True, (("install", "node-gyp rebuild"),)),
        ({"gypfile": False}, True, ()),
        ({"scripts": {"install": "make"}}, True, (("install", "make"),)),
        ({"scripts": {"preinstall": "a", "postinstall": "c"}}, True, (("preinstall", "a"), ("postinstall", "c"))),
        ({"scripts": {"postinstall": "c", "preinstall": "a", "install": "b"}}, False,
         (("preinstall", "a"), ("install", "b"), ("postinstall", "c"))),
        ({"scripts": {"postinstall": "c"}}, True, (("install", "node-gyp rebuild"), ("postinstall", "c"))),
        ({"scripts": {"prepare": "x", "test": "y", "install": " "}}, False, ()),
        ({"scripts": ["x"]}, False, ()),
        ({"version": "v1.0.0+build"}, False, ()),
    ],
)  # fmt: skip
def test_install_scripts(manifest: dict[str, Any], gyp: bool, scripts: tuple[Any, ...], store: Store) -> None:
    files = [("package/binding.gyp", b"{}")] if gyp else []
    one = stored(store, tarball(files, {**MANIFEST, **manifest}), package("node_modules/a"))
    assert one.digest is not None
    assert subject.read(store.source(one.digest), one).scripts == scripts


@pytest.mark.parametrize(
    "manifest",
    [
        {"name": "b", "version": "1.0.0"}, {"name": "a", "version": "1.0.1"}, {"name": "a"}, {}, [], None, "x",
        {"name": ["a"], "version": "1.0.0"},
    ],
)  # fmt: skip
def test_a_package_that_is_another_one(manifest: Any, store: Store) -> None:
    data = tarball([("package/package.json", json.dumps(manifest).encode())])
    one = stored(store, data, package("node_modules/a"))
    assert one.digest is not None
    with pytest.raises(HostileInput):
        subject.read(store.source(one.digest), one)


def test_no_manifest_and_a_byte_order_mark(store: Store, tmp_path: Path) -> None:
    bare = stored(store, tarball([("package/x", b"")]), package("node_modules/a"))
    assert bare.digest is not None
    with pytest.raises(HostileInput, match="malformed npm package"):
        subject.read(store.source(bare.digest), bare)
    text = b"\xef\xbb\xbf" + json.dumps(MANIFEST).encode()
    marked = stored(store, tarball([("package/package.json", text)]), package("node_modules/a"))
    assert marked.digest is not None
    assert subject.read(store.source(marked.digest), marked).name == "a"


def test_integrity_is_held_against_the_bytes(store: Store) -> None:
    one = stored(store, tarball([], MANIFEST), package("node_modules/a"))
    assert one.digest is not None
    path = store.source(one.digest)
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(HostileInput, match=r"wrong integrity: a@1\.0\.0"):
        subject.read(path, one)


def test_streams_are_whole(store: Store) -> None:
    content = bytes(range(256)) * 5000
    one = stored(store, tarball([("package/big", content), ("package/next", b"n")]), package("node_modules/a"))
    assert one.digest is not None
    found = {member.path: io.BytesIO(member.stream.read()) for member in subject.members(store.source(one.digest), "a")}
    assert found["big"].getvalue() == content
    assert found["next"].getvalue() == b"n"
