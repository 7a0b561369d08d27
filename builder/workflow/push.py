"""Push: blobs, manifests, indexes, and tags at last, so that no tag ever names what is not whole.

    HEAD of each manifest ─→ blobs of those that are missing: HEAD, mount from where the registry has it, or upload
                                       │
          tags ←── indexes ←── keys ←── manifests by digest

A blob is one piece of work for all repositories that want it: it is uploaded to the first, the others mount it. So a
layer crosses the wire once, whatever the number of images.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock as Mutex

from builder import about, image
from builder.action import Action
from builder.digest import Digest
from builder.errors import StackbuildError
from builder.kinds.oci.reference import parse
from builder.manifest.model import Target
from builder.net import Client
from builder.offline import refuse
from builder.site import Planned
from builder.transports.registry import Registry
from builder.transports.upload import Upload
from builder.workflow import join, pushed, releases
from builder.workflow.network import environ_of, parted
from builder.workflow.project import Project
from builder.workflow.releases import Release
from builder.workflow.shipment import Shipment, blobs, path_of, shipments
from builder.workflow.tags import Tags

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
class _Blob:
    """A blob, and which repositories want it."""

    digest: Digest
    size: int
    wanted: dict[str, Shipment] = field(default_factory=dict)


def push(
    project: Project,
    planned: Mapping[Target, Planned],
    targets: Sequence[Target],
    *,
    repository: str = "",
    templates: Sequence[str] = (),
    partial: bool = False,
    told: Told = lambda _: None,
) -> tuple[tuple[Release, ...], Traffic]:
    """Push built targets; those of one image and variant become one index.

    Args:
        repository: instead of the project's; `{image}` in it is what the image is called there.
        templates: of tags, instead of the project's.
        partial: whether a tag may come to name fewer platforms than it does.

    Raises:
        Problems, StackbuildError: a target is not built; the registry refuses, or does not answer; this run may use no
            network.
    """
    tags = Tags(project, templates)
    tags.of(Digest.of(b""))  # What is wrong with them is said before anything is sent.
    images = shipments(project, planned, targets, repository)
    _refuse_mixtures(images)
    names = list(dict.fromkeys(one.name for one in images))
    for name in names:
        parted(name)
    environ = environ_of(project)
    refuse(environ, "images are pushed to a registry")
    client = Client(environ=environ)
    work = _Push(project, planned, client, environ, repository, told)
    absent = [one for one, there in zip(images, client.each(work.has, images), strict=True) if not there]
    work.know(images)
    client.each(work.bring, work.blobs(absent))
    client.each(work.manifest, absent)
    client.each(work.key, images)
    missing = join.missing(project, [one.target for one in images])
    groups = [_Group(tags, [one for one in images if one.name == name], missing) for name in names]
    client.each(work.apart, groups)
    ends = client.each(work.index, groups)
    if not partial:
        ends = client.each(work.unharmed, zip(groups, ends, strict=True))
    moved = client.each(work.tag, [(one, tag) for one in ends for tag in one.tags])
    if any(moved):
        ends = client.each(work.again, zip(groups, ends, strict=True))
    releases.record(project.store, ends)
    return tuple(ends), work.traffic


class _Group:
    """The images of one repository: one image and variant on the platforms that are built here.

    Attributes:
        missing: the planned images of the platforms that are not.
    """

    def __init__(self, tags: Tags, images: Sequence[Shipment], missing: Mapping[Target, Action]) -> None:
        self.images = images
        self.tags = tags
        mine = images[0].target
        same = (mine.image, mine.variant)
        self.missing = {one: end for one, end in missing.items() if (one.image, one.variant) == same}

    @property
    def name(self) -> str:
        return self.images[0].name


class _Push:
    """One push: what is known of the registries, and what was sent."""

    def __init__(
        self,
        project: Project,
        planned: Mapping[Target, Planned],
        client: Client,
        environ: Mapping[str, str],
        repository: str,
        told: Told,
    ) -> None:
        self.traffic = Traffic()
        self._project = project
        self._planned = planned
        self._client = client
        self._environ = environ
        self._repository = repository
        self._told = told
        self._mutex = Mutex()
        self._completing = Mutex()
        self._uploads: dict[str, Upload] = {}
        self._homes: dict[Digest, list[str]] = {}
        self._said = time.monotonic()

    def has(self, one: Shipment) -> bool:
        return self._upload(one.name).registry.head(one.digest) == one.digest

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

    def _upload(self, name: str) -> Upload:
        with self._mutex:
            if name not in self._uploads:
                self._uploads[name] = Upload(Registry(self._client, *parted(name), self._environ))
            return self._uploads[name]

    def blobs(self, images: Sequence[Shipment]) -> list[_Blob]:
        """The blobs of these images, each once, largest first."""
        found: dict[Digest, _Blob] = {}
        for one in images:
            for digest, size in blobs(self._project, one):
                found.setdefault(digest, _Blob(digest, size)).wanted.setdefault(one.name, one)
        return sorted(found.values(), key=lambda blob: (-blob.size, blob.digest))

    def bring(self, blob: _Blob) -> None:
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

    def _bring(self, blob: _Blob, name: str, known: str) -> None:
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

    def manifest(self, one: Shipment) -> None:
        body = self._project.store.checked(self._project.store.blob(one.digest)).read_bytes()
        self._upload(one.name).manifest(one.digest, one.descriptor["mediaType"], body)
        self._told(f"{one.target}: pushed to {one.name}")

    def key(self, one: Shipment) -> None:
        """Attach its plan key to a manifest, by which others find it."""
        pushed.attach(self._upload(one.name), one, pushed.key_of(self._planned, one.target))

    def apart(self, group: _Group) -> None:
        """Name each platform of an image by itself while others may be missing, so that machines find each other's."""
        for one in group.images if group.missing else ():
            for tag in group.tags.fixed:
                self._name(
                    one.name, join.platform_tag(tag, one.target.platform), one.digest, one.descriptor["mediaType"]
                )

    def index(self, group: _Group) -> Release:
        """The image of one repository over its platforms; its index lies in the store and in the registry then."""
        upload = self._upload(group.name)
        found = join.found(upload.registry, group.missing, group.tags.fixed)
        own = {one.target: one.descriptor for one in group.images}
        descriptors = {target: own.get(target) or found[target] for target in sorted({*own, *found})}
        digest = Digest(next(iter(descriptors.values()))["digest"])
        if len(descriptors) > 1:
            store = self._project.store
            ends = [group.missing.get(one) or self._planned[one].image for one in descriptors]
            said = about.common([image.says(one) for one in ends if one is not None])
            digest = Digest(str(image.write_index(store, list(descriptors.values()), said)["digest"]))
            if upload.registry.head(digest) is None:
                upload.manifest(digest, image.INDEX_TYPE, store.blob(digest).read_bytes())
        return Release(
            time=releases.now(),
            project=self._project.manifest.project.name,
            name=group.name,
            digest=digest,
            tags=group.tags.of(digest),
            platforms={target.platform: Digest(one["digest"]) for target, one in descriptors.items()},
        )

    def unharmed(self, wanted: tuple[_Group, Release]) -> Release:
        """The same without tags that name a platform which is missing here: they wait for whoever has it."""
        group, end = wanted
        lacks = [one.platform for one in group.missing if one.platform not in end.platforms]
        if not lacks:
            return end
        registry = self._upload(group.name).registry
        harmed = {tag: there for tag in end.tags if (there := join.named(registry, tag, lacks))}
        for tag, there in harmed.items():
            self._told(
                f"{group.name}:{tag} stays as it is, with {', '.join(there)}: it moves once that is pushed as it is "
                "planned now, or with --partial"
            )
        return replace(end, tags=tuple(tag for tag in end.tags if tag not in harmed))

    def again(self, wanted: tuple[_Group, Release]) -> Release:
        """The same once its tags stand; another machine may have pushed its platforms since they were looked for."""
        group, end = wanted
        if len(end.platforms) == len(group.images) + len(group.missing):
            return end
        later = self.index(group)
        if later.digest == end.digest:
            return end
        later = self.unharmed((group, later))
        for tag in later.tags:
            self.tag((later, tag))
        return later

    def tag(self, wanted: tuple[Release, str]) -> bool:
        """Let a tag name an image; whether it did not so far."""
        one, tag = wanted
        return self._name(
            one.name, tag, one.digest, image.INDEX_TYPE if len(one.platforms) > 1 else image.MANIFEST_TYPE
        )

    def _name(self, name: str, tag: str, digest: Digest, media_type: str) -> bool:
        upload = self._upload(name)
        if upload.registry.head(tag) == digest:
            return False
        body = self._project.store.checked(self._project.store.blob(digest)).read_bytes()
        upload.manifest(tag, media_type, body)
        return True


def _refuse_mixtures(images: Sequence[Shipment]) -> None:
    """Raises: StackbuildError: two images, or two variants of one, would have one name."""
    first: dict[str, Shipment] = {}
    for one in images:
        other = first.setdefault(one.name, one)
        if (one.target.image, one.target.variant) != (other.target.image, other.target.variant):
            raise StackbuildError(
                f"several images, one place: {one.name}",
                got=f"{other.target} and {one.target}",
                expected="a place with {image} in it, for which each image and variant has a name",
            )
