"""`stackbuild gc` as a user types it: of a store that skopeo reads, and of a cache in a real registry."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.platforms import NATIVE
from builder.store import Store
from tests.e2e import services
from tests.e2e.services import Registry
from tests.image_family import Site
from tests.tools import need

ROOT = Path(__file__).parents[2]


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    monkeypatch.setenv("REGISTRY_STORAGE_DELETE_ENABLED", "true")
    with services.registry(tmp_path / "registry") as found:
        yield found


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setenv("HOME", str(tmp_path))
    site = Site(tmp_path, "127.0.0.1:1")
    site.build()
    return site


def command(site: Site, *arguments: str, store: Path | None = None) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "STACKBUILD_STORE": str(store or site.store.path), "PYTHONPATH": str(ROOT)}
    argv = [sys.executable, "-P", "-m", "builder.cli", "-C", str(site.folder), *arguments]
    return subprocess.run(argv, env=environ, capture_output=True, text=True, check=False)


def said(site: Site, *arguments: str, store: Path | None = None) -> str:
    done = command(site, *arguments, store=store)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_store_that_was_collected_is_read_by_skopeo_and_nothing_is_to_do(site: Site) -> None:
    need("skopeo")
    said(site, "build", "--no-start")
    site.overlay("full", "another text")
    said(site, "build", "--no-start")
    said(site, "save", "full", "-o", str(site.folder / "full.tar"))  # The base's layer is fetched for that.
    would = json.loads(said(site, "gc", "--dry-run", "--json", "--grace", "0"))
    gone = json.loads(said(site, "gc", "--json", "--grace", "0"))
    assert gone == {**would, "dry_run": False}
    assert {row["room"] for row in gone["rooms"] if row["freed"]} == {"tables", "actions", "took", "images"}
    assert gone["projects"] == {str(site.folder / "stacks.toml"): "current"}
    for tag in ("full", "lab", f"full-{NATIVE.replace('/', '-')}"):
        layout = f"oci:{site.store.path}/images:{tag}"
        subprocess.run(["skopeo", "copy", "-q", layout, f"dir:{site.folder}/copy"], check=True)
    done = command(site, "build", "--no-start")
    assert done.stdout == said(site, "build", "--no-start")
    assert "built:" not in done.stdout


def test_table_says_the_same_with_and_without_doing_it(site: Site) -> None:
    site.overlay("full", "another text")
    site.build()
    would = said(site, "gc", "--dry-run", "--grace", "0")
    assert said(site, "gc", "--grace", "0") == would.replace("would go", "    gone")
    assert " kept " in would.splitlines()[0]
    assert would.splitlines()[-1].startswith("in all ")


def test_no_more_than_so_much(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the command line, in the environment, in the user's configuration; the first of these counts."""
    cache = site.store.path / "uv/cache"

    def fill() -> None:
        cache.parent.mkdir()
        cache.write_bytes(bytes(1 << 20))

    fill()
    assert "tools" not in said(site, "gc")
    done = command(site, "gc", "--max-size", "1kB")
    assert (done.returncode, cache.exists()) == (0, False)
    assert "larger than 1.0 kB: what projects built last is never evicted" in done.stderr
    fill()
    config = site.folder.parent / ".config/stackbuild/config.toml"
    config.parent.mkdir(parents=True)
    config.write_text('[store]\nmax-size = "1 MB"\n')
    monkeypatch.setenv("STACKBUILD_MAX_SIZE", "1GB")
    said(site, "gc", "--dry-run")
    said(site, "gc")
    assert cache.exists()
    monkeypatch.delenv("STACKBUILD_MAX_SIZE")
    assert "tools" in said(site, "gc", "--dry-run")
    assert cache.exists()
    said(site, "gc")
    assert not cache.exists()
    assert "unchanged: full" in said(site, "build", "--no-start") + said(site, "build", "--no-start")
    done = command(site, "gc", "--max-size", "much")
    assert done.returncode == 1 and "not a size: much" in done.stderr


def test_store_in_use(site: Site) -> None:
    with site.store.leased():
        done = command(site, "gc", "--wait", "0.3")
    assert done.returncode == 1
    assert f"the store is in use: {site.store.path}" in done.stderr
    assert f"process {os.getpid()}" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [("--keep", "main"), ("--cache", "--grace", "1"), ("--cache", "--forget"), ("--cache", "--max-size", "1GB")],
)
def test_options_that_do_not_fit(site: Site, arguments: tuple[str, ...]) -> None:
    done = command(site, "gc", *arguments)
    assert done.returncode == 2
    assert "--cache" in done.stderr


def test_cache_in_a_real_registry(site: Site, registry: Registry, tmp_path: Path) -> None:
    """After its own garbage collection, an empty store takes everything from it, and what went is gone."""
    manifest = site.folder / "stacks.toml"
    place = f"oci://{registry.host}/team/cache"
    manifest.write_text(
        manifest.read_text() + f'[cache]\nplace = "{place}"\ntrusted = true\n[retention]\ndays = 0\nreleases = 0\n'
    )
    said(site, "build", "--no-start", "--share", "lab", "full")
    site.overlay("full", "another text" * 1000)
    said(site, "build", "--no-start", "--share", "lab", "full")
    site.overlay("full", "a third one")
    said(site, "build", "--no-start", "--share", "lab", "full")
    would = json.loads(said(site, "gc", "--cache", "--dry-run", "--json", "--keep-days", "1"))
    assert (len(would["kept"]["young"]), would["deleted"]) == (4, []), "all of it was left just now"
    would = json.loads(said(site, "gc", "--cache", place, "--dry-run", "--json"))
    gone = json.loads(said(site, "gc", "--cache", "--json"))
    assert gone == {**would, "dry_run": False}
    assert len(gone["deleted"]) == 4
    before = _size(tmp_path / "registry/data")
    subprocess.run(
        ["docker-registry", "garbage-collect", str(tmp_path / "registry/registry.yml")], capture_output=True, check=True
    )
    assert 0 < before - _size(tmp_path / "registry/data") <= gone["freed_bytes"] + 10_000
    another = Store.open(tmp_path / "another").path
    done = command(site, "build", "--no-start", "lab", "full", store=another)
    assert done.returncode == 0, done.stderr
    assert ": done" not in done.stderr, "nothing was built"
    assert "cache: took" in done.stderr
    assert said(site, "gc", "--cache").splitlines()[-1].split()[:2] == ["0", "gone:"]


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("data") if path.is_file())


def test_registry_that_deletes_nothing(site: Site, tmp_path: Path) -> None:
    with services.registry(tmp_path / "registry") as registry:
        manifest = site.folder / "stacks.toml"
        place = f"oci://{registry.host}/team/cache"
        manifest.write_text(manifest.read_text() + f'[cache]\nplace = "{place}"\ntrusted = true\n')
        said(site, "build", "--no-start", "--share", "full")
        site.overlay("full", "another text")
        said(site, "build", "--no-start", "--share", "full")
        done = command(site, "gc", "--cache", "--keep-days", "0")
        assert done.returncode == 1
        assert f"the registry lets nothing be deleted: {registry.host}/team/cache" in done.stderr
        assert done.stderr.count("DELETE_ENABLED") == 1
