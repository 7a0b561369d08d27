"""A remote cache: results of actions and the files they name, shared by machines through a repository of a registry.

    <repository>:action-<hex of its plan key>     an OCI manifest
        config    the action's document and result, as the store's `actions/<key>.json` has them, and sizes of files
        layers    every blob and source that the result names, and every file that the action read
        annotations
        dev.stackbuild.signature              of the key and the config's digest
        org.opencontainers.image.created      when it was left there, for `gc`; nobody vouches for that

So a registry that collects garbage keeps what an entry needs, and pins outlive their mirrors: a file that was read is
found under its digest in the same repository.

What is believed: a fetched file, because its bytes have the digest that its pin names. That an action came to a result
nobody can see from the result: an entry counts only if a key that the manifest names has signed it, or if the manifest
says that whoever can write to the registry is trusted. Its document must be the one that was asked for, its result
must look like one, and all files that it names must have their sizes and digests.

A cache never breaks a build: what cannot be had from it is built, and said.

Sources: OCI image-spec v1.1, "Guidelines for Artifact Usage"; distribution-spec v1.1.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock as Mutex
from typing import Any

from builder.action import Action, Result
from builder.digest import Digest, Json, canonical, key
from builder.errors import HostileInput, StackbuildError, Unreachable
from builder.net import Client
from builder.plan import Plan, files_of, intact
from builder.signing import Signer, signed
from builder.store import Store
from builder.transports.registry import Registry
from builder.transports.upload import Upload

TYPE = "application/vnd.stackbuild.action.v1+json"
CREATED = "org.opencontainers.image.created"
TAG = re.compile(r"action-([0-9a-f]{64})")
"""What entries are called: by plan keys, in hex."""
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_FILE = "application/octet-stream"
_SIGNATURE = "dev.stackbuild.signature"
_LARGEST = 4 << 20
_NONSENSE = (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError)
"""What comes of an entry that is no entry."""

Told = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """What makes an entry count.

    Attributes:
        registry: whoever can write there is believed.
        keys: public keys, of which one must have signed it otherwise.
    """

    registry: bool = False
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """An action's result as the cache has it, believed."""

    action: Action
    result: Mapping[str, Any]
    sizes: Mapping[Digest, int]


@dataclass(slots=True)
class Moved:
    """What a run took from the cache, and left there: actions, and bytes of files."""

    taken: int = 0
    taken_bytes: int = 0
    left: int = 0
    left_bytes: int = 0


@dataclass(slots=True)
class Cache:
    """One repository; used by many threads.

    Attributes:
        signer: signs what is left there; None where the registry is trusted.
        told: is given a line where something is not as it should be.
        time: when this run is, in UTC as RFC 3339 writes it: the age of what it leaves.
    """

    registry: Registry
    store: Store
    trust: Trust
    told: Told
    signer: Signer | None = None
    time: str = ""
    moved: Moved = field(default_factory=Moved)
    _mutex: Mutex = field(default_factory=Mutex)
    _down: bool = False

    @property
    def client(self) -> Client:
        return self.registry.client

    def again(self, time: str) -> Cache:
        """The same for another run at this time, which asks though this one was not answered."""
        return Cache(self.registry, self.store, self.trust, self.told, self.signer, time)

    def url(self, digest: Digest) -> str:
        """Where a file would be."""
        return self.registry.url(digest)

    def fill(self, plan: Plan, wanted: Iterable[Action]) -> None:
        """Take from the cache what the wanted actions came to, else what these read came to, and so on."""
        if not (self.trust.registry or self.trust.keys):
            return
        frontier, seen = list(wanted), set[Digest]()
        while frontier and not self._down:
            asked = []
            for action in frontier:
                if action.plan_key not in seen and not intact(self.store, action.plan_key):
                    asked.append(action)
                seen.add(action.plan_key)
            entries = [one for one in self.client.each(self.entry, asked) if one is not None]
            taken = self._take(entries)
            missed = [action for action in asked if action.plan_key not in taken]
            frontier = [plan.action(need) for action in missed for need in plan.needs(action.plan_key)]

    def keep(self, actions: Iterable[Action]) -> None:
        """Leave in the cache what these actions came to, with the files that they read, where it is not there yet."""
        known = [action for action in dict.fromkeys(actions) if intact(self.store, action.plan_key)]
        upload = Upload(self.registry)
        there = self._tried(lambda: self.client.each(self._there, known))
        if there is None:
            return
        new = [action for action, good in zip(known, there, strict=True) if not good]
        files = {digest: blob for action in new for digest, blob in self._files(action)}

        def bring(item: tuple[Digest, bool]) -> None:
            digest, blob = item
            path = self.store.checked(self.store.blob(digest) if blob else self.store.source(digest))
            if not upload.has(digest):
                size = path.stat().st_size
                upload.blob(digest, path, size)
                self._count(left_bytes=size)

        if self._tried(lambda: self.client.each(bring, files.items())) is not None:
            self._tried(lambda: self.client.each(lambda action: self._leave(upload, action), new))

    def _there(self, action: Action) -> bool:
        """Whether the cache has an entry that counts; one that does not, by an old key or damaged, is written anew."""
        try:
            return self._judged(action) is not None
        except (HostileInput, *_NONSENSE):
            return False

    # Taking ---------------------------------------------------------------------------------------------------

    def entry(self, action: Action) -> Entry | None:
        """The entry of an action, if there is one and it counts."""
        return self._tried(lambda: self._judged(action)) if not self._down else None

    def _judged(self, action: Action) -> Entry | None:
        digest = self.registry.head(_tag(action))
        if digest is None:
            return None
        manifest = _parsed(self.registry.document(digest).body)
        config = manifest["config"]
        told = Digest.parse(config["digest"])
        if not self._believed(action, told, manifest):
            raise HostileInput(
                f"an entry of the cache is not signed by a known key: {action.name}",
                where=f"{self.registry.name}:{_tag(action)}",
                next_step="add the key of whoever fills the cache to keys in [cache] of stacks.toml",
            )
        found = _parsed(self.registry.blob(told, min(int(config["size"]), _LARGEST)))
        if key(found["document"]) != action.plan_key:
            raise HostileInput(f"an entry of the cache is of another action: {action.name}")
        result, sizes = found["result"], {Digest.parse(one): int(size) for one, size in found["sizes"].items()}
        wanted = {"manifest", "config", "layers"} if action.kind == "image" else {"layers"} if action.layers else set()
        if not wanted <= result.keys() or not {digest for digest, _ in files_of(result)} <= sizes.keys():
            raise HostileInput(f"an entry of the cache is not whole: {action.name}")
        return Entry(action, result, sizes)

    def _believed(self, action: Action, config: Digest, manifest: Mapping[str, Any]) -> bool:
        if self.trust.registry:
            return True
        signature = str(manifest.get("annotations", {}).get(_SIGNATURE, ""))
        return signed(_statement(action, config), signature, self.trust.keys)

    def _take(self, entries: Sequence[Entry]) -> set[Digest]:
        """Fetch the files of entries, each once; the plan keys of those whose files are all here now."""
        wanted: dict[Digest, tuple[bool, int]] = {}
        for one in entries:
            for digest, blob in files_of(one.result):
                if not (self.store.blob(digest) if blob else self.store.source(digest)).exists():
                    wanted[digest] = (blob, one.sizes[digest])

        def fetch(item: tuple[Digest, tuple[bool, int]]) -> None:
            digest, (blob, size) = item
            try:
                with self.store.new_blob() if blob else self.store.new_source() as incoming:
                    self.client.download([self.url(digest)], digest=digest, size=size, into=incoming)
            except (HostileInput, Unreachable) as error:
                self.told(f"cache: {error}")  # Its entry is passed over; others need not be.
            else:
                self._count(taken_bytes=size)

        ordered = sorted(wanted.items(), key=lambda item: -item[1][1])
        if sum(size for _, (_, size) in ordered) > shutil.disk_usage(self.store.path).free:
            self.told("cache: there is too little room on the disk for what it has")
            return set()
        self._tried(lambda: self.client.each(fetch, ordered))
        taken = set()
        for one in entries:
            if all((self.store.blob(d) if blob else self.store.source(d)).exists() for d, blob in files_of(one.result)):
                self.store.put_action(one.action.plan_key, one.action.document, dict(one.result))
                self._count(taken=1)
                taken.add(one.action.plan_key)
        return taken

    # Leaving --------------------------------------------------------------------------------------------------

    def _files(self, action: Action) -> Iterator[tuple[Digest, bool]]:
        """What an entry refers to: the result's files, and the sources that are here."""
        found = self.store.action(action.plan_key)
        assert found is not None
        yield from files_of(found["result"])
        for pin in action.pins:
            if self.store.source(pin.digest).exists():
                yield pin.digest, False

    def _leave(self, upload: Upload, action: Action) -> None:
        found = self.store.action(action.plan_key)
        assert found is not None
        sizes = {
            digest: (self.store.blob(digest) if blob else self.store.source(digest)).stat().st_size
            for digest, blob in self._files(action)
        }
        self.write(upload, action, found["result"], sizes)

    def write(self, upload: Upload, action: Action, result: Result, files: Mapping[Digest, int]) -> None:
        """Write the entry of an action, all of whose files are in the repository: digest → size.

        Raises:
            Unreachable, StackbuildError: as `Upload.manifest`.
        """
        sizes: dict[str, Json] = {str(one): size for one, size in files.items()}
        body = canonical({"document": action.document, "result": result, "sizes": sizes})
        config = Digest.of(body)
        upload.data(config, body)
        layers: list[Json] = [{"mediaType": _FILE, "digest": one, "size": size} for one, size in sizes.items()]
        manifest: dict[str, Json] = {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "artifactType": TYPE,
            "config": {"mediaType": TYPE, "digest": config, "size": len(body)},
            "layers": layers,
        }
        annotations = {CREATED: self.time} if self.time else {}
        if self.signer is not None:
            annotations[_SIGNATURE] = self.signer.sign(_statement(action, config))
        if annotations:
            manifest["annotations"] = annotations
        upload.manifest(_tag(action), _MANIFEST, canonical(manifest))
        self._count(left=1)

    # Both -----------------------------------------------------------------------------------------------------

    def _tried(self, what: Callable[[], Any]) -> Any:
        """What comes of it, or None, and a line that says why; a cache that does not answer is not asked again."""
        try:
            return what()
        except StackbuildError as error:
            with self._mutex:
                told, self._down = self._down, self._down or not isinstance(error, HostileInput)
            if not told:
                self.told(f"cache: {error}")
        except _NONSENSE as error:
            self.told(f"cache: an entry of {self.registry.name} is not one of ours ({type(error).__name__})")
        return None

    def _count(self, **more: int) -> None:
        with self._mutex:
            for name, number in more.items():
                setattr(self.moved, name, getattr(self.moved, name) + number)


def _tag(action: Action) -> str:
    return f"action-{Digest(action.plan_key).hex}"


def _statement(action: Action, config: Digest) -> bytes:
    """What is signed: that this action came to what the config says."""
    return canonical({"action": action.plan_key, "config": config, "type": TYPE})


def _parsed(body: bytes) -> Any:
    return json.loads(body)
