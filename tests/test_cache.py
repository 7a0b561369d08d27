"""A remote cache: an empty machine builds nothing that another built, and believes nobody it was not told to."""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from builder.action import Action
from builder.cache import Cache
from builder.digest import Digest, Json, canonical
from builder.entry import Entry, Trust
from builder.errors import StackbuildError
from builder.lock import Pin
from builder.net import Client
from builder.signing import PREFIX, Signer, signed
from builder.store import Store
from builder.transports.registry import Registry
from builder.workflow import build, caching
from builder.workflow.build import _Silent
from tests.fake_uploads import FakeUploads, Request, uploads
from tests.image_family import Site
from tests.tools import remount

TRUSTED = '[cache]\nplace = "oci://HOST/team/cache"\ntrusted = true\n'


@pytest.fixture
def registry() -> Iterator[FakeUploads]:
    with uploads() as found:
        yield found


@pytest.fixture
def site(tmp_path: Path, registry: FakeUploads, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("builder.requester.time.sleep", lambda _: None)
    return Site(tmp_path, registry.host)


class Machine:
    """Somebody's machine: a store of its own, and what it was told."""

    def __init__(self, site: Site, folder: Path) -> None:
        self.site = site
        self.store = Store.open(folder)
        self.said: list[str] = []
        self.performed: list[str] = []

    def build(self, *texts: str, share: bool = False, require_signature: bool = False) -> dict[str, Digest]:
        """Build with the manifest's cache; image → digest of its manifest."""
        self.site.store, kept = self.store, self.site.store
        try:
            project = self.site.project()
        finally:
            self.site.store = kept
        wanted = [one for one in project.manifest.targets() if not texts or any(one.matches(text) for text in texts)]
        planned = build.plan(project, wanted)
        cache = caching.opened(project, "", share=share, told=self.said.append, require_signature=require_signature)
        watcher = _Watcher()
        build.build(project, wanted, jobs=2, watcher=watcher, planned=planned, cache=cache, share=share)
        self.performed = watcher.performed
        return {str(one): Digest(build.result(project, planned, one)["manifest"]["digest"]) for one in wanted}


class _Watcher(_Silent):
    def __init__(self) -> None:
        self.performed: list[str] = []

    def finished(self, action: Any, how: str) -> None:
        if how == "done":
            self.performed.append(action.name)


@pytest.fixture
def machine(site: Site, tmp_path: Path) -> Callable[[str], Machine]:
    return lambda name: Machine(site, tmp_path / "machines" / name)


def says(site: Site, text: str) -> None:
    """Put a [cache] into the manifest."""
    path = site.folder / "stacks.toml"
    host = path.read_text().split('repository = "')[1].partition("/")[0]
    path.write_text(path.read_text() + text.replace("HOST", host))


@pytest.fixture
def keys(tmp_path: Path) -> Callable[[str], tuple[str, str]]:
    """A private key's file and its public key, made with openssl as docs/cache.md says."""

    def make(name: str) -> tuple[str, str]:
        path = tmp_path / f"{name}.pem"
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(path)], check=True)
        script = f"openssl pkey -in {path} -pubout -outform DER | tail -c 32 | base64"
        done = subprocess.run(script, shell=True, check=True, capture_output=True, text=True)
        return str(path), PREFIX + done.stdout.strip()

    return make


def test_an_empty_machine_builds_nothing(site: Site, registry: FakeUploads, machine: Callable[[str], Machine]) -> None:
    says(site, TRUSTED)
    site.build("root@linux/amd64")  # Locks.
    one, other = machine("one"), machine("other")
    first = one.build(share=True)
    assert len(one.performed) == 10
    assert other.build() == first
    assert other.performed == []
    assert one.said == other.said == []
    # What it took is as good as built: again, from the store alone.
    registry.seen.clear()
    assert other.build() == first
    assert registry.seen == []


def test_the_images_alone_are_asked_for(site: Site, registry: FakeUploads, machine: Callable[[str], Machine]) -> None:
    says(site, TRUSTED)
    site.build("root@linux/amd64")
    machine("one").build(share=True)
    registry.seen.clear()
    machine("other").build("full@linux/amd64")
    asked = {path for _, path in registry.seen if "/manifests/action-" in path}
    assert len(asked) == 1


def test_what_nobody_built_is_built_on_what_somebody_did(
    site: Site, registry: FakeUploads, machine: Callable[[str], Machine]
) -> None:
    says(site, TRUSTED)
    site.build("root@linux/amd64")
    machine("one").build(share=True)
    site.overlay("full", "another text")
    other = machine("other")
    found = other.build("full@linux/amd64", share=True)
    assert other.performed == ["overlays of full:cpu@linux/amd64", "image full:cpu@linux/amd64"]
    third = machine("third")
    assert third.build("full@linux/amd64") == found
    assert third.performed == []


def test_a_second_share_sends_nothing(site: Site, registry: FakeUploads, machine: Callable[[str], Machine]) -> None:
    says(site, TRUSTED)
    site.build("root@linux/amd64")
    one = machine("one")
    one.build(share=True)
    registry.seen.clear()
    one.build(share=True)
    assert {method for method, _ in registry.seen} <= {"HEAD", "GET"}


def test_signed_entries_count_without_trust_in_the_registry(
    site: Site,
    registry: FakeUploads,
    machine: Callable[[str], Machine],
    keys: Callable[[str], tuple[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    private, public = keys("ci")
    says(site, f'[cache]\nplace = "oci://HOST/team/cache"\nkeys = ["{keys("old")[1]}", "{public}"]\n')
    site.build("root@linux/amd64")
    with pytest.raises(StackbuildError, match="nobody would believe"):
        machine("one").build(share=True)
    monkeypatch.setenv(caching.KEY, private)
    first = machine("one").build(share=True)
    monkeypatch.delenv(caching.KEY)
    other = machine("other")
    assert other.build() == first
    assert other.performed == []


def test_an_unknown_key_is_not_believed(
    site: Site,
    registry: FakeUploads,
    machine: Callable[[str], Machine],
    keys: Callable[[str], tuple[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    says(site, TRUSTED)
    site.build("root@linux/amd64")
    first = machine("one").build(share=True)
    path = site.folder / "stacks.toml"
    path.write_text(path.read_text().replace("trusted = true", f'keys = ["{keys("ci")[1]}"]'))
    other = machine("other")
    assert other.build() == first
    assert len(other.performed) == 10, "all was built here"
    assert "not signed by a known key" in other.said[0]
    monkeypatch.setenv(caching.KEY, keys("mine")[0])
    with pytest.raises(StackbuildError, match="not among the keys"):
        machine("third").build(share=True)


def test_nothing_unsigned_counts_though_the_registry_be_trusted(
    site: Site,
    registry: FakeUploads,
    machine: Callable[[str], Machine],
    keys: Callable[[str], tuple[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    says(site, TRUSTED)
    site.build("root@linux/amd64")
    first = machine("one").build(share=True)
    unsigned = machine("without keys")
    assert unsigned.build(require_signature=True) == first
    assert len(unsigned.performed) == 10 and "only files that it has are taken" in unsigned.said[0]
    with pytest.raises(StackbuildError, match="nobody would believe"):
        machine("third").build(share=True, require_signature=True)
    private, public = keys("ci")
    path = site.folder / "stacks.toml"
    path.write_text(path.read_text().replace("trusted = true", f'trusted = true\nkeys = ["{public}"]'))
    other = machine("other")
    other.build(require_signature=True)
    assert len(other.performed) == 10 and "not signed by a known key" in other.said[0]
    monkeypatch.setenv(caching.KEY, private)
    machine("one").build(share=True, require_signature=True)
    last = machine("last")
    assert last.build(require_signature=True) == first and not last.performed


def _entries(registry: FakeUploads) -> dict[str, dict[str, Any]]:
    return {
        name: json.loads(body)
        for (repository, name), body in registry.manifests.items()
        if repository == "team/cache" and name.startswith("action-")
    }


def _put(registry: FakeUploads, name: str, body: bytes) -> None:
    registry.manifests["team/cache", name] = registry.manifests["team/cache", str(Digest.of(body))] = body


def _config(registry: FakeUploads, name: str, entry: dict[str, Any], document: Json) -> None:
    """Give an entry another config."""
    body = canonical(document)
    registry.blobs["team/cache", str(Digest.of(body))] = body
    config: Json = {"digest": str(Digest.of(body)), "size": len(body)}
    _put(registry, name, canonical({**entry, "config": config}))


def test_who_has_the_sources_adds_them(store: Store, registry: FakeUploads) -> None:
    """To the entry of a worker, which left its result alone."""
    layer, source = b"a layer", b"a wheel"
    made = store.put_blob(layer)
    for data in (layer, source):  # The layer is its own list of files here.
        with store.new_source() as incoming:
            incoming.write(data)
            incoming.commit(Digest.of(data))
    wheel = Pin(kind="pip", name="a", version="1", filename="a.whl", digest=Digest.of(source), size=len(source))
    action = Action(kind="overlay", version=1, name="step", options={}, sources={"wheel": wheel})
    result: dict[str, Json] = {"layers": [{"name": "step", "digest": made, "listing": made}]}
    store.put_action(action.plan_key, action.document, result)
    there = Registry(Client(environ={}), registry.host, "team/cache", {})
    cache = Cache(there, store, Trust(registry=True), print)
    cache.keep([action])
    whole = _entries(registry)
    assert {row["digest"] for (entry,) in [whole.values()] for row in entry["layers"]} == {made, wheel.digest}
    cache.write(Entry(action, result, {made: len(layer)}))
    assert _entries(registry) != whole
    cache.keep([action])
    assert _entries(registry) == whole


def test_a_file_that_changed_in_the_store_is_not_left(
    site: Site, registry: FakeUploads, machine: Callable[[str], Machine]
) -> None:
    """The registry finds that out; then it is gone from the store, and the same command makes it anew."""
    says(site, TRUSTED)
    site.build("root@linux/amd64")
    one = machine("one")
    one.build()
    path = max((one.store.path / "images/blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
    data = path.read_bytes()
    path.write_bytes(bytes([data[0] ^ 1]) + data[1:])
    one.build(share=True)
    assert any("a file in the store has changed" in line and path.name in line for line in one.said)
    assert not path.exists()
    assert ("team/cache", f"sha256:{path.name}") not in registry.blobs
    one.build(share=True)
    assert registry.blobs["team/cache", f"sha256:{path.name}"] == data


def test_a_signature_is_of_one_action_and_one_result(
    site: Site,
    registry: FakeUploads,
    machine: Callable[[str], Machine],
    keys: Callable[[str], tuple[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Entries that were swapped, and a result that was replaced below a true signature, are both found."""
    private, public = keys("ci")
    says(site, f'[cache]\nplace = "oci://HOST/team/cache"\nkeys = ["{public}"]\n')
    site.build("root@linux/amd64")
    monkeypatch.setenv(caching.KEY, private)
    first = machine("one").build(share=True)
    entries = _entries(registry)
    names = sorted(entries)
    for name, other in zip(names, [*names[1:], names[0]], strict=True):
        _put(registry, name, canonical(entries[other]))
    swapped = machine("swapped")
    assert swapped.build() == first
    assert len(swapped.performed) == 10
    assert sum("not signed by a known key" in one for one in swapped.said) == 10
    forged = canonical({"document": {}, "result": {"layers": []}})
    digest = str(Digest.of(forged))
    registry.blobs["team/cache", digest] = forged
    for name, entry in entries.items():
        entry["config"] = {**entry["config"], "digest": digest, "size": len(forged)}
        _put(registry, name, canonical(entry))
    again = machine("again")
    assert again.build() == first
    assert len(again.performed) == 10
    assert sum("not signed by a known key" in one for one in again.said) == 10


@pytest.mark.parametrize(
    "damage", ["flipped", "gone", "no json", "no entry", "another action", "no sizes", "no result"]
)
def test_a_damaged_cache_never_breaks_a_build(
    site: Site, registry: FakeUploads, machine: Callable[[str], Machine], damage: str
) -> None:
    says(site, TRUSTED)
    site.build("root@linux/amd64")
    first = machine("one").build(share=True)
    for name, entry in _entries(registry).items():
        if damage == "no json":
            _put(registry, name, b"{")
        elif damage == "no entry":
            _put(registry, name, b"[]")
        elif damage in {"no sizes", "no result"}:
            found = json.loads(registry.blobs["team/cache", entry["config"]["digest"]])
            _config(registry, name, entry, {**found, **({"sizes": {}} if damage == "no sizes" else {"result": {}})})
        elif damage == "another action":
            _config(registry, name, entry, {"document": {"x": 1}, "result": {}, "sizes": {}})
        else:
            for row in entry["layers"]:
                key = ("team/cache", row["digest"])
                data = registry.blobs.pop(key, b"")
                if damage == "flipped" and data:
                    registry.blobs[key] = bytes([data[0] ^ 1]) + data[1:]
    other = machine("other")
    assert other.build() == first
    # What a base only refers to has no file that could be damaged.
    assert len(other.performed) == (8 if damage in {"flipped", "gone", "no sizes"} else 10)
    assert {
        "flipped": "wrong digest",
        "gone": "cannot GET",
        "no json": "not one of ours",
        "no entry": "not one of ours",
        "another action": "of another action",
        "no sizes": "not whole",
        "no result": "not whole",
    }[damage] in other.said[0]


def test_a_cache_that_is_away(site: Site, machine: Callable[[str], Machine]) -> None:
    """It is asked once, a line says why, and all is built."""
    says(site, TRUSTED.replace("HOST", "127.0.0.1:1"))
    site.build("root@linux/amd64")
    one = machine("one")
    one.build(share=True)
    assert len(one.performed) == 10
    assert len(one.said) == 1


def test_a_cache_that_takes_nothing(site: Site, registry: FakeUploads, machine: Callable[[str], Machine]) -> None:
    def refuse(request: Request) -> bool:
        request.body()
        request.reply(403)
        return True

    says(site, TRUSTED)
    site.build("root@linux/amd64")
    registry.breaks("POST", "/uploads/", refuse, times=1000)
    one = machine("one")
    one.build(share=True)
    assert len(one.performed) == 10
    assert "refuses" in one.said[0]
    assert not _entries(registry), "no entry without its files"


def test_files_come_from_it_without_any_trust(
    site: Site, registry: FakeUploads, machine: Callable[[str], Machine]
) -> None:
    """A pin's file has the pin's digest, wherever it is from: also when its own source is gone."""
    says(site, TRUSTED)
    site.build("root@linux/amd64")
    machine("one").build(share=True)
    path = site.folder / "stacks.toml"
    path.write_text(path.read_text().replace("trusted = true", ""))
    other = machine("other")
    digest = Digest(next(row["digest"] for entry in _entries(registry).values() for row in entry["layers"]))
    other.site.store = other.store
    project = site.project()
    cache = caching.opened(project, "", share=False, told=other.said.append)
    assert cache is not None
    assert "whom you trust" in other.said[0]
    from builder.fetching import Fetcher
    from builder.lock import Pin

    data = registry.blobs["team/cache", digest]
    pin = Pin(kind="pip", name="x", version="1", filename="x-1-py3-none-any.whl", digest=digest, size=len(data))
    Fetcher(project.manifest, other.store, cache.client, nearby=cache.url)([pin])
    assert other.store.source(digest).read_bytes() == data


def test_no_place_to_share(site: Site, machine: Callable[[str], Machine]) -> None:
    site.build("root@linux/amd64")
    with pytest.raises(StackbuildError, match="no cache to write to"):
        machine("one").build(share=True)


@pytest.mark.parametrize("place", ["registry.example.com/x", "oci://registry.example.com", "oci:///x", "https://x/y"])
def test_no_place(site: Site, place: str) -> None:
    with pytest.raises(StackbuildError, match="not a place of a cache"):
        caching.opened(site.project(), place, share=False, told=lambda _: None)


# Signatures -----------------------------------------------------------------------------------------------------


def test_signatures(keys: Callable[[str], tuple[str, str]]) -> None:
    private, public = keys("one")
    signer = Signer(private)
    assert signer.public == public
    assert Signer(Path(private).read_text()).public == public
    said = signer.sign(b"yes")
    other = keys("two")[1]
    assert signed(b"yes", said, [other, public])
    assert not signed(b"no", said, [other, public])
    assert not signed(b"yes", said, [other])
    assert not signed(b"yes", said, [])
    for nonsense in ("", "x", "AAAA", said[:-4]):
        assert not signed(b"yes", nonsense, [public])
    assert not signed(b"yes", said, ["ed25519:AAAA", "nonsense"])


@pytest.mark.parametrize("text", ["", "/nowhere", "-----BEGIN NONSENSE-----"])
def test_no_private_key(text: str) -> None:
    with pytest.raises(StackbuildError, match="not a private key"):
        Signer(text)


def test_a_private_key_of_another_kind(tmp_path: Path) -> None:
    path = tmp_path / "rsa.pem"
    command = ["openssl", "genpkey", "-algorithm", "RSA", "-out", str(path), "-pkeyopt", "rsa_keygen_bits:2048"]
    subprocess.run(command, check=True, capture_output=True)
    with pytest.raises(StackbuildError, match="not a private key"):
        Signer(str(path))


def test_the_disk_is_full_while_layers_come(
    site: Site, registry: FakeUploads, machine: Callable[[str], Machine], small_disk: Path
) -> None:
    """Another program took the room that there was: an error, nothing half, and the rest comes another time."""
    says(site, TRUSTED)
    (site.folder / "overlays/lab/opt/large").write_bytes(random.Random(5).randbytes(1 << 20))
    site.build("root@linux/amd64")
    first = machine("one").build(share=True)
    other = Machine(site, small_disk / "store")
    filler = small_disk / "filler"

    def fill(request: Request) -> bool:
        filler.write_bytes(bytes(1200 << 10))
        return False

    registry.breaks("GET", "/v2/team/cache/blobs/", fill)
    with pytest.raises(StackbuildError, match="disk"):
        other.build()
    kept = [*(other.store.path / "images/blobs/sha256").iterdir(), *(other.store.path / "sources/sha256").iterdir()]
    assert all(Digest.of_file(path).hex == path.name for path in kept)
    assert not list((other.store.path / "tmp").glob("tmp*"))
    filler.unlink()
    remount(small_disk, "size=16m")
    assert other.build() == first
    assert other.performed == []
