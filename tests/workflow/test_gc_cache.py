"""Entries of a remote cache that nobody would ask for go; what locks, revisions and releases need stays."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from builder.digest import Digest
from builder.errors import StackbuildError
from builder.store import Store
from builder.workflow import build, caching, gc_cache
from builder.workflow.build import _Silent
from builder.workflow.gc_cache import Collected
from builder.workflow.roots import Patience
from tests.fake_uploads import FakeUploads, Request
from tests.image_family import Site

REPOSITORY = "team/cache"


@pytest.fixture
def site(tmp_path: Path, registry: FakeUploads, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setenv("HOME", str(tmp_path))
    site = Site(tmp_path, registry.host)
    manifest = site.folder / "stacks.toml"
    manifest.write_text(
        manifest.read_text() + f'[cache]\nplace = "oci://{registry.host}/{REPOSITORY}"\ntrusted = true\n'
    )
    site.build("root@linux/amd64")  # Locks.
    return site


def share(site: Site, store: Store | None = None) -> int:
    """Build everything, with the cache; how much of it was taken from there."""
    site.store = store or site.store
    project = site.project()
    targets = tuple(project.manifest.targets())
    planned = build.plan(project, targets)
    cache = caching.opened(project, "", share=True, told=pytest.fail)
    assert cache is not None
    build.build(project, targets, jobs=2, watcher=_Silent(), planned=planned, cache=cache, share=True)
    return cache.moved.taken


def collect(site: Site, *revisions: str, after: float = 31, dry_run: bool = False) -> Collected:
    patience = Patience(now=datetime.now(UTC) + timedelta(days=after))
    return gc_cache.collect(site.project(), "", revisions, patience, dry_run=dry_run)


def entries(registry: FakeUploads) -> set[str]:
    return {name for repository, name in registry.manifests if repository == REPOSITORY and ":" not in name}


def rewrite(registry: FakeUploads, change: Callable[[bytes], bytes]) -> None:
    """Give every entry other bytes, under their own digest."""
    for name in entries(registry):
        body = change(registry.manifests[REPOSITORY, name])
        registry.manifests[REPOSITORY, name] = registry.manifests[REPOSITORY, Digest.of(body)] = body


def counts(found: Collected) -> dict[str, int]:
    return {**{why: len(tags) for why, tags in found.kept.items() if tags}, "deleted": len(found.deleted)}


def test_current_entries_stay(site: Site, registry: FakeUploads) -> None:
    share(site)
    before = entries(registry)
    # Two platforms: a foreign layer and an image of root, an image each of lab and full; the overlays are the same.
    assert counts(collect(site)) == {"plans": 10, "deleted": 0}
    assert entries(registry) == before


@pytest.mark.parametrize("page", [1, 4, 100])
def test_entries_of_nobody_go_and_the_others_still_work(
    site: Site, registry: FakeUploads, tmp_path: Path, page: int
) -> None:
    share(site)
    old = entries(registry)
    site.overlay("full", "another text")
    share(site)
    registry.page = page
    new = entries(registry) - old
    would = collect(site, dry_run=True)
    assert entries(registry) == old | new
    assert counts(would) == {"plans": 10, "deleted": 3}
    found = collect(site)
    assert found == would
    assert found.freed_bytes > 0
    left = entries(registry)
    assert new <= left
    assert len(left) == 10
    assert not {name for name in found.deleted if (REPOSITORY, name) in registry.manifests}
    assert share(site, Store.open(tmp_path / "another")) == 6, "the images are all that is asked for"


def test_young_entries_stay_and_those_without_a_time_are_old(site: Site, registry: FakeUploads) -> None:
    share(site)
    site.overlay("full", "another text")
    share(site)
    assert counts(collect(site, after=29)) == {"plans": 10, "young": 3, "deleted": 0}
    rewrite(registry, lambda body: body.replace(b"image.created", b"image.another"))
    assert counts(collect(site, after=29, dry_run=True)) == {"plans": 10, "deleted": 3}


@pytest.mark.parametrize("time", ["9999", "next year", "2999-01-01T00:00:00+00:00"])
def test_time_that_is_none_makes_nothing_young(site: Site, registry: FakeUploads, time: str) -> None:
    share(site)
    site.overlay("full", "another text")
    share(site)
    created = re.compile(rb'(?<=image\.created":")[^"]*')
    rewrite(registry, lambda body: created.sub(time.encode(), body))
    assert counts(collect(site, after=1, dry_run=True)) == {"plans": 10, "deleted": 3}


def test_revisions_of_git_stay(site: Site, registry: FakeUploads) -> None:
    def git(*arguments: str) -> None:
        command = ["git", "-c", "user.name=x", "-c", "user.email=x@x", "-C", str(site.folder), *arguments]
        subprocess.run(command, check=True, capture_output=True)

    git("init", "--initial-branch=main")
    git("add", "--all")
    git("commit", "--message=one")
    share(site)
    site.overlay("full", "another text")
    share(site)
    assert counts(collect(site, "main", dry_run=True)) == {"plans": 13, "deleted": 0}
    with pytest.raises(StackbuildError, match="no such revision: nowhere"):
        collect(site, "nowhere")
    assert counts(collect(site)) == {"plans": 10, "deleted": 3}


def test_images_of_releases_stay(site: Site, registry: FakeUploads, tmp_path: Path) -> None:
    share(site)
    site.push("full")
    site.overlay("full", "another text")
    share(site)
    assert counts(collect(site)) == {"plans": 10, "releases": 2, "deleted": 1}
    site.overlay("full", "full")
    assert share(site, Store.open(tmp_path / "another")) == 6


def test_what_has_another_name_that_stays_is_not_deleted(site: Site, registry: FakeUploads) -> None:
    """Deleting is by digest, and would take the other tag along."""
    share(site)
    site.overlay("full", "another text")
    share(site)
    victim = collect(site, dry_run=True).deleted[0]
    registry.manifests[REPOSITORY, "mine"] = registry.manifests[REPOSITORY, victim]
    registry.manifests[REPOSITORY, "v1"] = registry.manifests[REPOSITORY, "action-x"] = b'{"layers": []}'
    name = "action-" + "0" * 64
    registry.manifests[REPOSITORY, name] = b'{"layers": [], "artifactType": 1}'
    for body in (b'{"layers": []}', b'{"layers": [], "artifactType": 1}'):
        registry.manifests[REPOSITORY, Digest.of(body)] = body
    found = collect(site)
    assert counts(found) == {"plans": 10, "shared": 1, "foreign": 4, "deleted": 2}
    assert found.kept["foreign"] == (name, "action-x", "mine", "v1")
    assert {"mine", victim, "v1", "action-x", name} <= entries(registry)


def test_registry_that_deletes_nothing_says_so_once(site: Site, registry: FakeUploads) -> None:
    def refuse(request: Request) -> bool:
        request.reply(405, body=b'{"errors": [{"code": "UNSUPPORTED"}]}')
        return True

    share(site)
    site.overlay("full", "another text")
    share(site)
    before = entries(registry)
    registry.breaks("DELETE", "/", refuse, times=1000)
    registry.seen.clear()
    with pytest.raises(StackbuildError, match="lets nothing be deleted"):
        collect(site)
    assert registry.count("DELETE") == 1
    assert entries(registry) == before


def test_cache_that_is_not_there_yet(site: Site) -> None:
    assert counts(collect(site)) == {"deleted": 0}


def test_no_place(site: Site) -> None:
    manifest = site.folder / "stacks.toml"
    manifest.write_text(manifest.read_text().partition("[cache]")[0])
    with pytest.raises(StackbuildError, match="no cache to collect from"):
        collect(site)
