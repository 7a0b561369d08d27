"""Stores on disks that cannot be written, are full, have no hard links or no locks, or behave as NFS does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.digest import Digest
from builder.errors import StackbuildError
from builder.store import Store
from tests.e2e.project import tags
from tests.image_family import Site
from tests.tools import remount

ROOT = Path(__file__).parents[2]


def command(site: Site, *words: str, odd: str = "") -> subprocess.CompletedProcess[str]:
    path = f"{ROOT / 'tests/odd'}{os.pathsep}{ROOT}" if odd else str(ROOT)
    environ = {**os.environ, "STACKBUILD_STORE": str(site.store.path), "PYTHONPATH": path}
    environ |= {"ODD": odd, "ODD_FOLDER": str(site.store.path), "HOME": str(site.folder.parent)}
    argv = [sys.executable, "-P", "-m", "builder.cli", "-C", str(site.folder), *words]
    return subprocess.run(argv, env=environ, capture_output=True, text=True, check=False, timeout=300)


def fine(site: Site, *words: str, odd: str = "") -> str:
    done = command(site, *words, odd=odd)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path, "127.0.0.1:1")


@pytest.fixture
def small_site(tmp_path: Path, small_disk: Path) -> Iterator[Site]:
    """A family whose store is on a disk of 2 MB."""
    site = Site(tmp_path / "site", "127.0.0.1:1")
    site.store = Store.open(small_disk / "store")
    site.build()
    yield site


def test_read_only_store(small_site: Site, small_disk: Path) -> None:
    """What only reads works; what must write says so."""
    site = small_site
    fine(site, "build", "--no-start")
    save = ("save", "lab@linux/amd64", "-o", str(site.folder / "lab.tar"))
    fine(site, *save)  # The base's layer is fetched for that.
    remount(small_disk, "ro")
    for words in ("plan", "status", "explain full", "tree full", "graph", "export mermaid", "releases"):
        fine(site, *words.split())
    assert "unchanged: full" in fine(site, "build", "--no-start")
    fine(site, "store", "check")
    fine(site, "gc", "--dry-run")
    fine(site, *save)
    site.overlay("full", "another text")
    assert "full" in fine(site, "build", "--dry-run")
    for words in ("build --no-start", "gc", "gc --wait 0.2"):
        done = command(site, *words.split())
        assert done.returncode == 1
        assert "cannot write to the store" in done.stderr and "Read-only file system" in done.stderr, done.stderr
        assert "STACKBUILD_STORE" in done.stderr


def fill(folder: Path) -> Path:
    """Take all the room there is."""
    path = folder / "filler"
    with path.open("wb", buffering=0) as stream:
        for size in (1 << 16, 1 << 12):
            try:
                while True:
                    stream.write(bytes(size))
            except OSError:
                continue
    return path


def test_full_disk(small_site: Site, small_disk: Path) -> None:
    """A tag is moved whole or not at all; `gc` needs no room, and makes some."""
    site, before = small_site, tags(small_site.store.path)
    site.overlay("full", "another text")
    site.build()
    site.overlay("full", "full")
    site.build()
    filler = fill(small_disk)
    with pytest.raises(StackbuildError, match="the disk of the store is full"):
        site.store.images.tag("new", {"digest": Digest.of(b"")})
    assert tags(site.store.path) == before
    done = command(site, "build", "--no-start", "full")
    assert done.returncode in {0, 1}
    site.overlay("full", "a third text")
    done = command(site, "build", "--no-start", "full")
    assert done.returncode == 1 and "full" in done.stderr and "free some room" in done.stderr
    gone = json.loads(fine(site, "gc", "--grace", "0", "--json"))
    assert sum(room["freed"] for room in gone["rooms"]) > 3
    fill(small_disk)
    fine(site, "gc", "--grace", "0", "--max-size", "1kB")
    filler.unlink()
    fine(site, "store", "check")
    fine(site, "build", "--no-start")


@pytest.mark.parametrize("odd", ["nolink", "nfs"])
def test_all_goes_as_ever(site: Site, tmp_path: Path, odd: str) -> None:
    """Locking, building, building again, collecting, checking; the same digests as on any disk."""
    other = Site(tmp_path / "other", "127.0.0.1:1")
    for one, how in ((site, odd), (other, "")):
        fine(one, "lock", odd=how)
        fine(one, "build", "--no-start", odd=how)
        one.overlay("full", "another text")
        fine(one, "build", "--no-start", odd=how)
        fine(one, "save", "full@linux/amd64", "-o", str(one.folder / "full.tar"), odd=how)
        fine(one, "gc", "--grace", "0", odd=how)
        fine(one, "gc", "--grace", "0", "--max-size", "1kB", odd=how)
        fine(one, "store", "check", odd=how)
        assert "unchanged: full" in fine(one, "build", "--no-start", odd=how)
    assert tags(site.store.path) == tags(other.store.path)
    assert (site.folder / "full.tar").read_bytes() == (other.folder / "full.tar").read_bytes()


def test_no_locks(site: Site, tmp_path: Path) -> None:
    done = command(site, "status", odd="nolock")
    assert done.returncode == 1
    assert "the file system of the store has no locks" in done.stderr
    site.store = Store(tmp_path / "new")
    done = command(site, "build", odd="nolock")
    assert done.returncode == 1
    assert "cannot create the store" in done.stderr and "No locks available" in done.stderr


_LOCKERS = """
import sys, threading
from pathlib import Path
from builder.store import Store
store, inside, most, counter = Store(Path(sys.argv[1])), 0, 0, threading.Lock()
def work():
    global inside, most
    for _ in range(60):
        with store.locked("x"):
            with counter:
                inside += 1
                most = max(most, inside)
            with store.new_source() as incoming:
                incoming.write(b"x")
            with counter:
                inside -= 1
threads = [threading.Thread(target=work) for _ in range(4)]
[one.start() for one in threads]
while any(one.is_alive() for one in threads):
    store.sweep()
print(most)
"""


def test_locks_exclude_where_removed_files_keep_a_link(site: Site) -> None:
    """A lock counted as its name's while it had a link, which on NFS it has until all have closed it: two held it."""
    path = f"{ROOT / 'tests/odd'}{os.pathsep}{ROOT}"
    environ = {**os.environ, "PYTHONPATH": path, "ODD": "nfs", "ODD_FOLDER": str(site.store.path)}
    command = [sys.executable, "-c", _LOCKERS, str(site.store.path)]
    assert subprocess.run(command, env=environ, capture_output=True, text=True, check=True).stdout == "1\n"
