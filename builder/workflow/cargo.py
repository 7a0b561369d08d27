"""The blobs of a push: each crosses the wire once, and the rest is mounted.

A blob is one piece of work for all repositories that want it: it is uploaded to the first, the others mount it, as they
do what a repository of an ancestor, of a foreign base or of an earlier push has.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock as Mutex

from builder.digest import Digest
from builder.errors import StackbuildError
from builder.kinds.oci.reference import parse
from builder.manifest.model import Target
from builder.site import Planned
from builder.workflow import releases
from builder.workflow.project import Project
from builder.workflow.repositories import Repositories
from builder.workflow.shipment import Shipment, blobs, path_of

_EVERY = 5.0
"""Seconds between two words about how much was sent."""

Told = Callable[[str], None]


@dataclass(slots=True)
class Traffic:
    """What a push moved: blobs by how they came there, and the bytes that were sent for them."""

    there: int = 0
    mounted: int = 0
    uploaded: int = 0
    sent: int = 0


@dataclass(slots=True)
class Blob:
    """A blob, and which repositories want it."""

    digest: Digest
    size: int
    wanted: dict[str, Shipment] = field(default_factory=dict)


class Cargo:
    """What is known of where blobs are, and what was sent; used by many threads.

    Args:
        repository: where images are pushed to instead of to the project's.
    """

    def __init__(
        self,
        project: Project,
        planned: Mapping[Target, Planned],
        repositories: Repositories,
        repository: str,
        told: Told,
    ) -> None:
        self.traffic = Traffic()
        self._project = project
        self._planned = planned
        self._upload = repositories.upload
        self._repository = repository
        self._told = told
        self._mutex = Mutex()
        self._completing = Mutex()
        self._homes: dict[Digest, list[str]] = {}
        self._said = time.monotonic()

    def know(self, images: Sequence[Shipment]) -> None:
        """Note where each layer may lie already, to be mounted from there: with ancestors, or with a foreign base, or
        where it was pushed to before."""
        manifest, store = self._project.manifest, self._project.store
        for one in images:
            base = manifest.family(one.target)[0].base
            reference = parse(base) if base else None
            foreign = [reference.name] if reference and reference.host else []
            above = [manifest.published(ancestor, self._repository) for ancestor in manifest.lineage(one.target)]
            for layer in one.layers:
                homes = self._homes.setdefault(Digest(layer["digest"]), [])
                homes += [*above, *(foreign if layer.get("foreign") else ())]
            self._homes.setdefault(one.config, [])
        for name, digest in releases.homes(store):
            with suppress(OSError, ValueError, KeyError, TypeError):  # Not a file of ours any more: no home.
                document = json.loads(store.blob(digest).read_bytes())
                for layer in (*document["layers"], document["config"]):
                    if (found := self._homes.get(Digest(layer["digest"]))) is not None:
                        found.append(name)

    def blobs(self, images: Sequence[Shipment]) -> list[Blob]:
        """The blobs of these images, each once, largest first."""
        found: dict[Digest, Blob] = {}
        for one in images:
            for digest, size in blobs(self._project, one):
                found.setdefault(digest, Blob(digest, size)).wanted.setdefault(one.name, one)
        return sorted(found.values(), key=lambda blob: (-blob.size, blob.digest))

    def bring(self, blob: Blob) -> None:
        """Let every repository that wants a blob have it."""
        there = [name for name in blob.wanted if self._upload(name).has(blob.digest)]
        self._count(there=len(there))
        absent = [name for name in blob.wanted if name not in there]
        others = [name for name in dict.fromkeys(self._homes.get(blob.digest, ())) if name not in blob.wanted]
        for name in absent:
            host = self._upload(name).registry.host
            if not any(self._upload(one).registry.host == host for one in there):
                near = (one for one in others if self._upload(one).registry.host == host)
                there += [one for one in near if self._may_have(one, blob.digest)][:1]
            known = next((one for one in there if self._upload(one).registry.host == host), "")
            self._bring(blob, name, known)
            there.append(name)

    def _may_have(self, name: str, digest: Digest) -> bool:
        """Whether a repository that we could mount from has a blob; one that does not say so does not."""
        try:
            return self._upload(name).has(digest)
        except StackbuildError:
            return False

    def _bring(self, blob: Blob, name: str, known: str) -> None:
        upload, session = self._upload(name), ""
        if known:
            session = upload.mount(blob.digest, self._upload(known).registry.repository)
            if not session:
                self._count(mounted=1)
                return
        path = self._path(blob.wanted[name], blob.digest)
        upload.blob(blob.digest, path, blob.size, session)
        self._count(uploaded=1, sent=blob.size)

    def _path(self, one: Shipment, digest: Digest) -> Path:
        """Where a blob lies; who lacks layers of a foreign base fetches all of them, so one thread at a time does."""
        if self._project.store.blob(digest).exists():
            return path_of(self._project, self._planned, one, digest)
        with self._completing:
            return path_of(self._project, self._planned, one, digest)

    def _count(self, **more: int) -> None:
        with self._mutex:
            for name, number in more.items():
                setattr(self.traffic, name, getattr(self.traffic, name) + number)
            if time.monotonic() - self._said > _EVERY:
                self._said = time.monotonic()
                self._told(f"sent {self.traffic.sent / 1e6:.0f} MB")
