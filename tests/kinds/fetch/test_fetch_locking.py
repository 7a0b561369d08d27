"""Locking from a server: what is kept, what moves, what is refused, and what needs no network."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from builder.digest import Digest
from builder.errors import Problems, StackbuildError
from builder.fetching import Fetcher
from builder.kinds.fetch import locking
from builder.kinds.fetch.request import requests
from builder.locking import Making
from builder.locks import Locks
from builder.manifest.model import Manifest, Target
from builder.net import Client
from builder.store import Store

BASE = Target.parse("base:cpu@linux/amd64")
ROOT = '[images.base]\nfrom = "archive:debian"\nlayout = "plain"\nplatforms = ["linux/amd64"]\n'
Written = Callable[[str], Manifest]


def item(web: Any, name: str, version: str = "1", more: str = "") -> str:
    url = f"{web.url}/{name}-{{version}}"
    return f'{{ name = "{name}", version = "{version}", url = "{url}", to = "/opt/{name}/"{more} }}'


def run(
    manifest: Manifest,
    store: Store,
    *,
    keep: bool = True,
    upgrade: frozenset[str] = frozenset(),
    vanished: frozenset[str] = frozenset(),
    target: Target = BASE,
) -> bool:
    """Lock one target, as `stackbuild lock` does; whether its lock moved."""
    client, locks = Client(), Locks(manifest.folder / "locks")
    making = Making(
        manifest=manifest,
        locks=locks,
        store=store,
        client=client,
        fetch=Fetcher(manifest, store, client),
        vanished=lambda _: vanished,
        jobs=1,
        keep=keep,
        upgrade=upgrade,
        refresh_missing=bool(vanished),
    )
    ((_, new),) = locking.make(making, target, locking.prepare(making)).values()
    path = locks.path(target, "fetch")
    path.parent.mkdir(parents=True, exist_ok=True)
    moved = not path.exists() or path.read_text() != new
    path.write_text(new)
    return moved


def check(manifest: Manifest, target: Target = BASE) -> list[str]:
    return [str(one) for one in locking.check(manifest, target, Locks(manifest.folder / "locks"))]


def text(manifest: Manifest) -> str:
    return (manifest.folder / "locks/base/linux-amd64.sources.toml").read_text()


def test_locked_kept_and_moved(web: Any, manifest: Written, store: Store) -> None:
    web.put("/a-1", b"first")
    web.put("/b-1", b"b")
    asked = manifest(ROOT + f"fetch = [{item(web, 'a')}, {item(web, 'b')}]\n")
    path = "locks/base/linux-amd64.sources.toml"
    assert check(asked) == [f"lock is missing: base:cpu@linux/amd64, fetch\n  {path}\n  next: stackbuild lock base"]
    assert run(asked, store)
    assert store.source(Digest.of(b"first")).read_bytes() == b"first"
    assert (hashlib.sha256(b"first").hexdigest() in text(asked)) and check(asked) == []

    web.put("/a-1", b"second")
    web.asked.clear()
    assert not run(asked, store) and web.asked == [], "a pin with the same request is kept, without a question"
    assert check(asked) == [] and web.asked == []

    assert run(asked, store, upgrade=frozenset({"a"}))
    assert web.asked == ["/a-1"] and hashlib.sha256(b"second").hexdigest() in text(asked)
    web.asked.clear()
    assert not run(asked, store, keep=False) and sorted(web.asked) == ["/a-1", "/b-1"]


def test_what_differs_is_told_by_its_line(web: Any, manifest: Written, store: Store) -> None:
    web.put("/a-1", b"a")
    web.put("/b-1", b"b")
    run(manifest(ROOT + f"fetch = [{item(web, 'a')}, {item(web, 'b')}]\n"), store)
    moved = manifest(ROOT + f"fetch = [\n{item(web, 'c')},\n{item(web, 'a', '2')},\n]\n")
    line = moved.lines["images.base.fetch[1]"]
    said = check(moved)
    assert [one.splitlines()[0] for one in said] == [
        f"lock is stale: base:cpu@linux/amd64, fetch {name}" for name in ("a", "b", "c")
    ]
    assert f"stacks.toml:{line}" in said[0] and "a 2 http" in said[0] and "a 1 http" in said[0]
    assert "asks for nothing of that kind any more" in check(manifest(ROOT))[0]


def test_a_bump_moves_that_pin_alone(web: Any, manifest: Written, store: Store) -> None:
    for path in ("/a-1", "/b-1", "/b-2"):
        web.put(path, path.encode())
    run(manifest(ROOT + f"fetch = [{item(web, 'a')}, {item(web, 'b')}]\n"), store)
    web.asked.clear()
    moved = manifest(ROOT + f"fetch = [{item(web, 'a')}, {item(web, 'b', '2')}]\n")
    before = text(moved).split("[[fetch]]")
    assert run(moved, store) and web.asked == ["/b-2"]
    assert text(moved).split("[[fetch]]")[:2] == before[:2]


def test_one_url_is_fetched_once_for_all_targets(web: Any, manifest: Written, store: Store) -> None:
    web.put("/a-1", b"noarch")
    asked = manifest(ROOT.replace('platforms = ["linux/amd64"]\n', "") + f"fetch = [{item(web, 'a')}]\n")
    said: list[str] = []
    downloads = locking.Downloads(Client(), store, said.append)
    found = {downloads.learn(one) for target in asked.targets() for one in requests(asked, target)}
    assert found == {(Digest.of(b"noarch"), 6)} and web.asked == ["/a-1"]
    assert said == ["fetching a 1"]


CHECKED = ', sha256-url = "{url}.sha256"'


def test_checksum_file(web: Any, manifest: Written, store: Store) -> None:
    web.put("/a-1", b"a")
    web.put("/a-1.sha256", f"{hashlib.sha256(b'a').hexdigest()}  dist/a-1\n".encode())
    asked = manifest(ROOT + f"fetch = [{item(web, 'a', more=CHECKED)}]\n")
    run(asked, store)
    assert f'sha256-url = "{web.url}/a-1.sha256"' in text(asked) and check(asked) == []


@pytest.mark.parametrize(
    ("said", "what"),
    [
        (hashlib.sha256(b"other").hexdigest().encode(), "the checksum file disagrees: a 1"),
        (b"<html>", "no sha256 of a-1 in its checksum file"),
        (None, "cannot GET"),
    ],
)
def test_checksum_file_that_is_of_no_use(
    said: bytes | None, what: str, web: Any, manifest: Written, store: Store
) -> None:
    web.put("/a-1", b"a")
    if said is not None:
        web.put("/a-1.sha256", said)
    asked = manifest(ROOT + f"fetch = [{item(web, 'a', more=CHECKED)}]\n")
    with pytest.raises(Problems, match=what):
        run(asked, store)
    assert not (asked.folder / "locks").exists()


def test_every_problem_is_told(web: Any, manifest: Written, store: Store) -> None:
    with pytest.raises(Problems) as caught:
        run(manifest(ROOT + f"fetch = [{item(web, 'a')}, {item(web, 'b')}]\n"), store)
    assert [one.what for one in caught.value.problems] == [f"cannot GET {web.url}/{name}-1" for name in "ab"]


def test_a_child_may_not_move_its_parents(web: Any, manifest: Written, store: Store) -> None:
    web.put("/a-1", b"a")
    web.put("/a-2", b"a2")
    child = Target.parse("child:cpu@linux/amd64")
    asked = manifest(
        ROOT + f"fetch = [{item(web, 'a')}]\n"
        f'[images.child]\nfrom = "base"\nplatforms = ["linux/amd64"]\nfetch = [{item(web, "a", "2")}]\n'
    )
    what = "child may not move its parent: child fetches a 2, base has 1"
    run(asked, store)
    with pytest.raises(StackbuildError, match=what):
        run(asked, store, target=child)
    (asked.folder / "locks/child").mkdir()
    (asked.folder / "locks/child/linux-amd64.sources.toml").write_text(text(asked))
    assert any(what in one for one in check(asked, child))


def test_content_that_changed_since_is_told_with_the_command_that_moves_it(
    web: Any, manifest: Written, store: Store
) -> None:
    web.put("/a-1", b"first")
    asked = manifest(ROOT + f"fetch = [{item(web, 'a')}]\n")
    run(asked, store)
    store.source(Digest.of(b"first")).unlink()
    web.put("/a-1", b"other")
    pins = Locks(asked.folder / "locks").read(BASE, "fetch")
    assert pins is not None
    with pytest.raises(Problems) as caught:
        Fetcher(asked, store, Client())(pins.pins)
    said = str(caught.value)
    assert f"wrong digest: {web.url}/a-1" in said and "fetch a 1" in said
    assert "stackbuild lock --upgrade-package a" in said
    run(asked, store, upgrade=frozenset({"a"}))
    pins = Locks(asked.folder / "locks").read(BASE, "fetch")
    assert pins is not None
    Fetcher(asked, store, Client())(pins.pins)
    assert store.source(Digest.of(b"other")).read_bytes() == b"other"


def test_only_what_is_gone_moves(web: Any, manifest: Written, store: Store) -> None:
    web.put("/a-1", b"a")
    web.put("/b-1", b"b")
    asked = manifest(ROOT + f"fetch = [{item(web, 'a')}, {item(web, 'b')}]\n")
    run(asked, store)
    web.put("/a-1", b"a longer one")
    web.put("/b-1", b"another one")
    assert run(asked, store, vanished=frozenset({"a"}))
    assert hashlib.sha256(b"a longer one").hexdigest() in text(asked)
    assert hashlib.sha256(b"b").hexdigest() in text(asked)
