"""The names of a push: indexes over platforms, and tags, which come last and never name less than they did.

own manifests ─→ tags of their platforms ─→ index, with what other machines pushed ─→ tags ─→ a last look
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from builder import about, image
from builder.action import Action
from builder.digest import Digest
from builder.manifest.model import Target
from builder.site import Planned
from builder.workflow import join, releases
from builder.workflow.cargo import Told
from builder.workflow.project import Project
from builder.workflow.releases import Release
from builder.workflow.repositories import Repositories
from builder.workflow.shipment import Shipment
from builder.workflow.tags import Tags


class Group:
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


class Names:
    """Gives names in registries; used by many threads."""

    def __init__(
        self, project: Project, planned: Mapping[Target, Planned], repositories: Repositories, told: Told
    ) -> None:
        self._project = project
        self._planned = planned
        self._upload = repositories.upload
        self._told = told

    def apart(self, group: Group) -> None:
        """Name each platform of an image by itself while others may be missing, so that machines find each other's."""
        for one in group.images if group.missing else ():
            for tag in group.tags.fixed:
                self._name(
                    one.name, join.platform_tag(tag, one.target.platform), one.digest, one.descriptor["mediaType"]
                )

    def index(self, group: Group) -> Release:
        """The image of one repository over its platforms; its index lies in the store and in the registry then."""
        upload = self._upload(group.name)
        mine = {one.digest for one in group.images}
        found = join.found(upload.registry, group.missing, group.tags.fixed, mine)
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

    def unharmed(self, wanted: tuple[Group, Release]) -> Release:
        """The same without tags that name a platform which is missing here: they wait for whoever has it."""
        group, end = wanted
        lacks = [one.platform for one in group.missing if one.platform not in end.platforms]
        if not lacks:
            return end
        registry = self._upload(group.name).registry
        harmed = {tag: there for tag in end.tags if (there := join.harmed(registry, tag, lacks, end.digest))}
        for tag, there in harmed.items():
            self._told(
                f"{group.name}:{tag} stays as it is, with {', '.join(there)}: it moves once that is pushed as it is "
                "planned now, or with --partial"
            )
        return replace(end, tags=tuple(tag for tag in end.tags if tag not in harmed))

    def again(self, wanted: tuple[Group, Release]) -> Release:
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
