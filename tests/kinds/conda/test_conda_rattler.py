"""Our trees, file by file, against those of py-rattler's own install of the same packages.

What differs, and why:

    CACHEDIR.TAG, conda-meta/history    written by one of the two only
    *.pyc of noarch packages            it compiles none
    conda-meta/*.json                   no cache paths, no kind of link, no digest of a link's text; bytecode is listed
    modes                               group rights are user rights, whatever the package or the umask says
    mtimes                              clamped; it takes the clock's, or the package's own
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from builder import unpacked
from builder.compression import codec
from builder.kinds.conda.link import Place
from builder.kinds.conda.part import Layer, write_packages
from builder.store import Store
from tests.conda_packages import PREFIX, URL, Made, Piece, native, noarch, package, python, stored
from tests.tools import Host

PROGRAM = Path(__file__).parents[2] / "rattler_install.py"


def installed(folder: Path, packages: list[Made], *, into: Path | None = None) -> Path:
    """What py-rattler installs, into an empty folder or one that has packages already."""
    target = into or folder / "theirs"
    order = {
        "packages": [{**made.entry, "url": made.path.as_uri(), "channel": URL} for made in packages],
        "folder": str(target),
        "prefix": PREFIX,
        "cache": str(folder / "cache"),
    }
    (folder / "order.json").write_text(json.dumps(order))
    command = [sys.executable, str(PROGRAM), str(folder / "order.json")]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return target


def listed(root: Path) -> Iterator[tuple[str, Path, os.stat_result]]:
    for path in sorted(root.rglob("*")):
        yield path.relative_to(root).as_posix(), path, path.lstat()


def tree(root: Path) -> dict[str, tuple[str, int, bytes]]:
    """Path → kind, mode as our prefixes have it, content or target."""
    found = {}
    for name, path, info in listed(root):
        if stat.S_ISLNK(info.st_mode):
            found[name] = ("link", 0o777, os.readlink(path).encode())
        elif stat.S_ISDIR(info.st_mode):
            found[name] = ("dir", 0o775, b"")
        elif not name.startswith("conda-meta/") and name != "CACHEDIR.TAG":
            found[name] = ("file", 0o775 if info.st_mode & 0o100 else 0o664, path.read_bytes())
    return found


def meta(root: Path) -> dict[str, Any]:
    """What is said of each package, as far as both say it."""
    found = {}
    for path in sorted((root / "conda-meta").glob("*.json")):
        told = json.loads(path.read_bytes())
        for name in ("link", "extracted_package_dir", "package_tarball_full_path", "url", "timestamp"):
            told.pop(name, None)
        rows = [row for row in told["paths_data"]["paths"] if row["path_type"] != "pyc_file"]
        for row in rows:
            if row["path_type"] == "softlink":
                row.pop("sha256_in_prefix", None)
        told["paths_data"]["paths"] = sorted(rows, key=lambda row: str(row["_path"]))
        told["files"] = sorted(row["_path"] for row in rows)
        found[path.name] = told
    return found


@pytest.mark.parametrize("suffix", [".conda", ".tar.bz2"])
def test_equal_trees(host: Host, store: Store, tmp_path: Path, suffix: str) -> None:
    packages = [python(tmp_path), native(tmp_path, suffix=suffix), noarch(tmp_path, suffix=suffix)]
    theirs = installed(tmp_path, packages)
    short = ".".join(packages[0].index["version"].split(".")[:2])
    place = Place(prefix=PREFIX, python=short, site=f"lib/python{short}/site-packages")
    layer = Layer(name="x", packages=stored(store, *packages), place=place, zips={}, codec=codec("gzip"))
    (root,) = unpacked.layers(store, [write_packages(store, layer)])
    ours = root / PREFIX.strip("/")
    assert {name for name, _, info in listed(ours) if not stat.S_ISDIR(info.st_mode)} > {"bin/tiny-lab", "bin/tiny-app"}
    assert tree(ours) == tree(theirs)
    assert meta(ours) == meta(theirs)
    ids = {(info.st_uid, info.st_gid) for _, _, info in listed(ours)}
    modes = {stat.S_IMODE(info.st_mode) for _, _, info in listed(ours) if not stat.S_ISLNK(info.st_mode)}
    assert (ids, modes) == ({(0, 0)}, {0o664, 0o775})


def test_a_later_install(host: Host, store: Store, tmp_path: Path) -> None:
    """Another tool knows what is there from our conda-meta: it adds a package, replaces one, and leaves the rest."""
    packages = [python(tmp_path), native(tmp_path), noarch(tmp_path)]
    short = ".".join(packages[0].index["version"].split(".")[:2])
    place = Place(prefix=PREFIX, python=short, site=f"lib/python{short}/site-packages")
    layer = Layer(name="x", packages=stored(store, *packages), place=place, zips={}, codec=codec("gzip"), history=True)
    (root,) = unpacked.layers(store, [write_packages(store, layer)])
    ours = root / PREFIX.strip("/")
    before = {name: info.st_ino for name, _, info in listed(ours)}
    more = package(tmp_path, "more", [Piece(path="share/more", data=b"more")])
    installed(tmp_path, [*packages[:2], noarch(tmp_path, version="2.0"), more], into=ours)
    after = {name: info.st_ino for name, _, info in listed(ours)}
    gone = before.keys() - after.keys()
    assert gone == {"conda-meta/tiny-lab-1.0-pyhd_0.json"}
    assert {"share/more", "conda-meta/more-1.0-h1_0.json", "conda-meta/tiny-lab-2.0-pyhd_0.json"} <= after.keys()
    touched = {name for name, inode in before.items() if after.get(name, inode) != inode}
    assert touched and all("tiny" in name and "libtiny" not in name for name in touched)
