"""From locked files to layers: keys, parts, what is laid, and what a change below touches."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from builder import listing
from builder.action import Action, Result, Workshop
from builder.compression import codec
from builder.conflicts import clash, clashes
from builder.digest import Digest, key
from builder.errors import HostileInput, StackbuildError
from builder.kinds.fetch import build, lockfile
from builder.kinds.fetch.lockfile import dumps
from builder.kinds.fetch.request import requests
from builder.lock import Lock
from builder.locks import Locks
from builder.manifest.model import Manifest, Target
from builder.parts import write_part
from builder.site import Site
from builder.store import Store
from builder.tree import Bytes, Entry
from tests.fake_deb import build as deb
from tests.fake_deb import member, tar

TARGET = Target.parse("base:cpu@linux/amd64")
ROOT = '[images.base]\nfrom = "archive:debian"\nlayout = "plain"\nplatforms = ["linux/amd64"]\n'
TOOL = '{ name = "tool", version = "1", url = "https://example.com/tool", to = "/bin/tool", mode = "0755" }'
PACK = '{ name = "pack", version = "1", url = "https://example.com/pack.tgz", strip = 1, to = "/opt/pack/" }'
PACKED = gzip.compress(
    tar([(member("pack-1/bin/x", data=b"x"), b"x"), (member("pack-1/doc", data=b"d"), b"d")]), mtime=0
)
Written = Callable[[str], Manifest]


def inline(function: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
    done: Future[Any] = Future()
    done.set_result(function(*arguments))
    return done


def locked(manifest: Manifest, store: Store, content: Mapping[str, bytes]) -> None:
    """Write the lock, and put the files into the store."""
    pins = []
    for request in requests(manifest, TARGET):
        data = content[request.name]
        with store.new_source() as incoming:
            incoming.write(data)
            incoming.commit(Digest.of(data))
        pins.append(lockfile.pin(request, Digest.of(data), len(data)))
    path = manifest.folder / "locks/base/linux-amd64.sources.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dumps(Lock(request=tuple(sorted(lockfile.line(one) for one in pins)), pins=tuple(pins))))


def planned(manifest: Manifest, own: tuple[Action, ...] = ()) -> tuple[Action, ...]:
    locks = Locks(manifest.folder / "locks")
    return build.plan(Site(manifest=manifest, target=TARGET, locks=locks, ancestors=(), own=own))


def below(store: Store, entries: Sequence[Entry]) -> Result:
    return {"layers": [write_part(store, "below", sorted(entries, key=lambda one: one.path.encode()), codec("gzip"))]}


def laid(store: Store, action: Action, *results: Result) -> list[listing.Listed]:
    workshop = Workshop(store=store, heavy=inline, jobs=1, log=store.path / "log")
    ways = build.perform(action.needs["ground"], {f"below-{n:03}": one for n, one in enumerate(results)}, workshop)
    (layer,) = build.perform(action, {"ground": ways}, workshop)["layers"]
    return list(listing.read(store, layer))


def rows(found: Sequence[listing.Listed]) -> list[tuple[str, str, str, str]]:
    return [(one.mode, one.ids, one.path, one.owner) for one in found]


def test_a_tool_an_archive_and_a_package(manifest: Written, store: Store, tmp_path: Path) -> None:
    package = deb(tmp_path, "real", {"usr/bin/real": "words"}).read_bytes()
    real = '{ name = "real", version = "1", url = "https://example.com/real.deb", to = "/" }'
    asked = manifest(ROOT + f"fetch = [{TOOL}, {PACK}, {real}]\n")
    locked(asked, store, {"tool": b"#!/bin/sh\n", "pack": PACKED, "real": package})
    stand = below(store, [Entry("bin", "link", 0o777, target="usr/bin"), Entry("usr", "dir"), Entry("usr/bin", "dir")])
    found = {one.path: (one.mode, one.owner) for action in planned(asked) for one in laid(store, action, stand)}
    folders = {path: found.pop(path)[0] for path in ("usr", "usr/bin")}  # Of every layer with something below.
    assert folders == {"usr": "0755", "usr/bin": "0755"}
    assert found == {
        "opt": ("0755", "pack"),
        "opt/pack": ("0755", "pack"),
        "opt/pack/bin": ("0755", "pack"),
        "opt/pack/bin/x": ("0755", "pack"),
        "opt/pack/doc": ("0755", "pack"),
        "usr/bin/real": ("0644", "real"),
        "usr/bin/tool": ("0755", "tool"),
    }


def test_large_files_stand_alone(manifest: Written, store: Store) -> None:
    asked = manifest(ROOT + f"fetch = [{TOOL}, {PACK}]\n")
    locked(asked, store, {"tool": bytes(8 << 20), "pack": PACKED})
    assert [action.options["part"] for action in planned(asked)][-1] == "tool"  # type: ignore[index, call-overload]
    assert [sorted(action.sources) for action in planned(asked)] == [["pack"], ["tool"]]


def test_owner_is_the_layouts_user(manifest: Written, store: Store) -> None:
    mine = TOOL.replace("/bin/tool", "/home/jovyan/bin/tool").replace(" }", ', owner = "user" }')
    asked = manifest(ROOT + f"fetch = [{mine}]\n")
    locked(asked, store, {"tool": b"x"})
    (action,) = planned(asked)
    stand = below(store, [Entry("home", "dir"), Entry("home/jovyan", "dir", 0o2775, 1000, 100)])
    assert rows(laid(store, action, stand)) == [
        ("0755", "0:0", "home", "tool"),
        ("2775", "1000:100", "home/jovyan", "tool"),
        ("0755", "1000:100", "home/jovyan/bin", "tool"),
        ("0755", "1000:100", "home/jovyan/bin/tool", "tool"),
    ]


def test_a_change_elsewhere_is_cut_off(manifest: Written, store: Store) -> None:
    asked = manifest(ROOT + f"fetch = [{TOOL}]\n")
    locked(asked, store, {"tool": b"x"})
    packages = [Action(kind="apt", version=1, name="apt", options={"n": n}) for n in (1, 2)]
    (one,), (other,) = planned(asked, (packages[0],)), planned(asked, (packages[1],))
    assert one.plan_key != other.plan_key
    workshop = Workshop(store=store, heavy=inline, jobs=1, log=store.path / "log")
    usr = [Entry("bin", "link", 0o777, target="usr/bin"), Entry("usr", "dir"), Entry("usr/bin", "dir")]
    more = [*usr, Entry("usr/bin/other", "file", content=Bytes(b"other")), Entry("usr/lib", "dir")]
    moved = [*usr[:2], Entry("usr/bin", "dir", 0o700)]
    keys = [
        key(
            action.result_document(
                {"ground": build.perform(action.needs["ground"], {"x": below(store, tree)}, workshop)}
            )
        )
        for action, tree in ((one, usr), (other, more), (other, moved))
    ]
    assert keys[0] == keys[1] != keys[2]


def test_the_key_is_of_what_matters(manifest: Written, store: Store) -> None:
    def plan_key(item: str, content: bytes = b"x") -> str:
        asked = manifest(ROOT + f"fetch = [{item}]\n")
        locked(asked, store, {"tool": content})
        return planned(asked)[0].plan_key

    first = plan_key(TOOL)
    elsewhere = TOOL.replace("https://example.com/tool", "https://other.example.com/tool")
    assert plan_key(elsewhere) == first, "where it was fetched is no part of it"
    others = [
        plan_key(TOOL, b"y"),
        plan_key(TOOL.replace("0755", "0700")),
        plan_key(TOOL.replace("/bin/tool", "/bin/tool2")),
        plan_key(TOOL.replace(" }", ', owner = "user" }')),
        plan_key(TOOL.replace('version = "1"', 'version = "2"')),
        plan_key(TOOL.replace(', mode = "0755"', ', format = "tar"')),
        plan_key(TOOL.replace(', mode = "0755"', ', format = "tar", strip = 1')),
        plan_key(TOOL.replace(', mode = "0755"', ', format = "tar", include = ["a"]')),
        plan_key(TOOL.replace(', mode = "0755"', ', format = "tar", exclude = ["a"]')),
    ]
    assert len({first, *others}) == 1 + len(others)


def test_a_stale_lock_is_not_built(manifest: Written, store: Store) -> None:
    locked(manifest(ROOT + f"fetch = [{TOOL}]\n"), store, {"tool": b"x"})
    for changed in (TOOL.replace('"1"', '"2"'), TOOL.replace("example.com", "example.org"), f"{TOOL}, {PACK}"):
        with pytest.raises(StackbuildError, match="lock is stale: base:cpu@linux/amd64, fetch"):
            planned(manifest(ROOT + f"fetch = [{changed}]\n"))
    (store.path.parent / "locks/base/linux-amd64.sources.toml").unlink()
    with pytest.raises(StackbuildError, match="lock is missing"):
        planned(manifest(ROOT + f"fetch = [{TOOL}]\n"))
    assert planned(manifest(ROOT)) == ()


def test_two_items_with_one_path(manifest: Written, store: Store) -> None:
    """Whether they share a layer or not."""
    rows = [
        f'{{ name = "{name}", version = "1", url = "https://example.com/{name}", to = "/x" }}' for name in "abcdefgh"
    ]
    asked = manifest(ROOT + f"fetch = [{', '.join(rows)}]\n")
    locked(asked, store, {name: name.encode() for name in "abcdefgh"})
    shared = next(action for action in planned(asked) if len(action.sources) > 1)
    with pytest.raises(StackbuildError, match="two packages bring x"):
        laid(store, shared, below(store, []))


def test_two_layers_with_one_path(store: Store) -> None:
    trees = [
        [Entry("x", "file", content=Bytes(data), owner=owner)]
        for owner, data in (("a", b"1"), ("b", b"2"), ("c", b"2"))
    ]
    layers = [("fetch", write_part(store, str(n), tree, codec("gzip"))) for n, tree in enumerate(trees)]
    assert list(clashes(store, layers[1:])) == []
    (found,) = clashes(store, layers[:2])
    said = str(clash(found, "image base"))
    assert "two fetched files bring /x with different content: a and b" in said and "prefer" not in said


def test_damage_in_the_store_is_noticed(manifest: Written, store: Store) -> None:
    asked = manifest(ROOT + f"fetch = [{TOOL}]\n")
    locked(asked, store, {"tool": b"x"})
    (action,) = planned(asked)
    store.source(Digest.of(b"x")).write_bytes(b"y")
    with pytest.raises(HostileInput, match="a file in the store has changed"):
        laid(store, action, below(store, []))
