"""Packages as entries, and as npm itself unpacks them."""

from __future__ import annotations

import json
import os
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from builder.compression import codec
from builder.errors import HostileInput, StackbuildError
from builder.kinds.npm.lay import Laying, document, layings, of_document
from builder.kinds.npm.lockfile import dumps
from builder.kinds.npm.part import tree, write_packages
from builder.store import Store
from builder.tree import Entry, File
from tests.kinds.npm.conftest import Npm, package, stored, tarball
from tests.kinds.npm.conftest import tree as by_location

MANIFEST = {"name": "a", "version": "1.0.0"}


def shown(entries: list[Entry]) -> dict[str, str]:
    """Path → mode and content or target."""
    found = {}
    for entry in entries:
        assert (entry.uid, entry.gid) == (0, 0)
        data = Path(entry.content.path).read_text() if isinstance(entry.content, File) else entry.target
        found[entry.path] = f"{entry.kind} {entry.mode:o} {data}".strip()
    return found


def laid(store: Store, tmp_path: Path, *found: Laying) -> dict[str, str]:
    tmp_path.mkdir(exist_ok=True)
    return shown(tree(store, found, "/opt/npm", tmp_path))


def test_a_package_that_was_asked_for(store: Store, tmp_path: Path) -> None:
    files = [("package/cli.js", b"#!/usr/bin/env node\r\n1\r\n"), ("package/lib/x.js", b"#!x\r\n")]
    one = stored(store, tarball(files, MANIFEST), package("node_modules/a", bin={"a": "./cli.js", "gone": "gone.js"}))
    found = laid(store, tmp_path / "1", Laying(package=one, asked=True))
    assert found == {
        "opt": "dir 755",
        "opt/npm": "dir 775",
        "opt/npm/bin": "dir 775",
        "opt/npm/bin/a": "link 777 ../lib/node_modules/a/cli.js",
        "opt/npm/lib": "dir 775",
        "opt/npm/lib/node_modules": "dir 775",
        "opt/npm/lib/node_modules/a": "dir 775",
        "opt/npm/lib/node_modules/a/cli.js": "file 775 #!/usr/bin/env node\n1",
        "opt/npm/lib/node_modules/a/lib": "dir 775",
        "opt/npm/lib/node_modules/a/lib/x.js": "file 664 #!x",
        "opt/npm/lib/node_modules/a/package.json": 'file 664 {"name": "a", "version": "1.0.0"}',
    }
    quiet = laid(store, tmp_path / "2", Laying(package=one))
    assert "opt/npm/bin/a" not in quiet


def test_programs_below_a_package_and_in_its_tarball(store: Store, tmp_path: Path) -> None:
    files = [
        ("package/run", b"1"), ("package/node_modules/in/run", b"2"), ("package/node_modules/in/package.json", b"{}"),
    ]  # fmt: skip
    manifest = {"name": "@s/b", "version": "1.0.0"}
    location = "node_modules/a/node_modules/@s/b"
    one = stored(store, tarball(files, manifest), package(location, bin={"b": "run"}))
    inner = replace(package(f"{location}/node_modules/in", inBundle=True, bin={"in": "run"}), digest=None)
    (laying,) = layings([one, inner], by_location(one, inner), {"@s/b"})
    assert laying.bundled == (inner,)
    assert not laying.asked
    found = laid(store, tmp_path / "x", laying)
    base = "opt/npm/lib/node_modules/a/node_modules"
    assert found[f"{base}/.bin/b"] == "link 777 ../@s/b/run"
    assert found[f"{base}/@s/b/node_modules/.bin/in"] == "link 777 ../in/run"
    assert found[f"{base}/@s/b/node_modules/in/run"] == "file 775 2"
    assert one.digest is not None
    assert laid(store, tmp_path / "y", of_document(json.loads(json.dumps(document(laying))), one.digest)) == found


def test_executable_is_what_the_tarball_says(store: Store, tmp_path: Path) -> None:
    tool = tarfile.TarInfo("package/tool")
    tool.mode = 0o4711
    one = stored(store, tarball([tool, ("package/data", b"")], MANIFEST), package("node_modules/a"))
    found = laid(store, tmp_path / "x", Laying(package=one))
    assert found["opt/npm/lib/node_modules/a/tool"] == "file 775"
    assert found["opt/npm/lib/node_modules/a/data"] == "file 664"


def test_two_packages_with_one_path(store: Store, tmp_path: Path) -> None:
    """A tarball may hold a node_modules of its own, where npm has put another package."""
    files = [("package/node_modules/b/package.json", b'{"name": "evil"}')]
    one = stored(store, tarball(files, MANIFEST), package("node_modules/a"))
    two = stored(store, tarball([], {"name": "b", "version": "1.0.0"}), package("node_modules/a/node_modules/b"))
    with pytest.raises(StackbuildError, match="two packages bring"):
        laid(store, tmp_path / "x", Laying(package=one), Laying(package=two))


def test_a_changed_file_in_the_store_is_noticed(store: Store, tmp_path: Path) -> None:
    one = stored(store, tarball([], MANIFEST), package("node_modules/a"))
    assert one.digest is not None
    os.truncate(store.source(one.digest), 10)
    with pytest.raises(HostileInput, match="has changed"):
        laid(store, tmp_path / "x", Laying(package=one))


def test_equal_tarballs_give_equal_layers(store: Store) -> None:
    one = Laying(package=stored(store, tarball([("package/x", b"1" * 9999)], MANIFEST), package("node_modules/a")))
    first, second = (write_packages(store, "npm/x", [one], "/opt/npm", codec("gzip")) for _ in range(2))
    assert first == second
    assert write_packages(store, "npm/x", [one], "/srv/npm", codec("gzip"))["diff_id"] != first["diff_id"]


def test_the_tree_is_the_one_that_npm_makes(npm: Npm, tmp_path: Path) -> None:
    """File by file, for packages with programs, scopes, bundled ones, prebuilt binaries and platforms."""
    asked = ("configurable-http-proxy==4.6.2", "esbuild==0.24.0", "@types/node==20.19.0", "node-gyp-build==4.8.4")
    lock = npm.lock(*asked, run=frozenset({"esbuild"}))
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    text = dumps(lock)
    request = json.loads(text)["packages"][""]["dependencies"]
    (theirs / "package.json").write_text(json.dumps({"dependencies": request}))
    (theirs / "package-lock.json").write_text(text)
    done = npm.run(theirs, "ci", "--ignore-scripts")
    assert done.returncode == 0, done.stderr
    (tmp_path / "ours").mkdir()
    found = layings(lock.packages, lock.by_location, set(request))
    ours = {}
    for entry in tree(npm.means.store, found, "/opt/npm", tmp_path / "ours"):
        path = entry.path.removeprefix("opt/npm/lib/")
        if entry.kind == "link" and entry.path.startswith("opt/npm/bin/"):
            path = f"node_modules/.bin/{entry.path.rpartition('/')[2]}"
            ours[path] = entry.target.removeprefix("../lib/node_modules/")
        elif entry.kind == "link":
            ours[path] = entry.target.removeprefix("../")
        elif isinstance(entry.content, File):
            ours[path] = f"{entry.mode & 0o100:o} {hash(Path(entry.content.path).read_bytes())}"
    assert ours == _files(theirs)
    assert len(ours) > 500


def _files(folder: Path) -> dict[str, str]:
    found = {}
    for path in (folder / "node_modules").rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = os.readlink(path).removeprefix("../")
        elif path.is_file() and name != "node_modules/.package-lock.json":
            found[name] = f"{path.stat().st_mode & 0o100:o} {hash(path.read_bytes())}"
    return found
