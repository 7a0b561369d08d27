"""One image over platforms that several machines build: what the others pushed becomes part of the index.

    machine A: jupyter:2026.11-linux-amd64 ─┐
                                            ├─ whoever comes second finds both: jupyter:2026.11 is their index
    machine B: jupyter:2026.11-linux-arm64 ─┘

A machine that has not all platforms of an image names its own first, by tags with the platform in them; then it looks
for the others', which count only if they have the plan key that is planned here. Each writes before it looks, so of two
at once one at least sees both; and each looks once more after it has named the whole, so that the index of one platform
never stays over that of two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from contextlib import suppress
from typing import Any

from builder.action import Action
from builder.digest import Digest
from builder.errors import StackbuildError
from builder.manifest.model import Target
from builder.planner import plan_targets
from builder.transports.registry import Registry
from builder.workflow import pushed
from builder.workflow.project import Project


def missing(project: Project, own: Sequence[Target]) -> dict[Target, Action]:
    """The planned images that one's own targets leave out: of the same images and variants, on other platforms.

    One whose locks are missing cannot be planned: nobody can have built it either.
    """
    manifest, have = project.manifest, set(own)
    images = dict.fromkeys((one.image, one.variant) for one in own)
    wanted = [
        target
        for image, variant in images
        for platform in manifest.platforms(manifest.images[image], variant)
        if (target := Target(image, variant, platform)) not in have
    ]
    try:
        planned = plan_targets(manifest, project.locks, wanted)
    except StackbuildError:
        planned = {}
        for target in wanted:
            with suppress(StackbuildError):
                planned |= plan_targets(manifest, project.locks, [target])
    return {target: end for target in wanted if target in planned and (end := planned[target].image) is not None}


def platform_tag(tag: str, platform: str) -> str:
    """`2026.11-linux-arm64`: what a tag's image is called while other platforms may be missing."""
    return f"{tag}-{platform.replace('/', '-')}"


def found(
    registry: Registry, missing: Mapping[Target, Action], tags: Sequence[str], own: Set[Digest]
) -> dict[Target, Mapping[str, Any]]:
    """The descriptors of those of the missing images that the registry has under these tags, as they are planned here.

    Args:
        own: one's own manifests.

    Raises:
        StackbuildError: the registry refuses, or does not answer.
    """
    known: dict[Target, Mapping[str, Any]] = {}
    for target, planned in missing.items():
        names = [name for tag in tags for name in (platform_tag(tag, target.platform), tag)]
        descriptor = pushed.find(registry, names, target, planned.plan_key, other=own)
        if descriptor is not None:
            known[target] = descriptor
    return known


def harmed(registry: Registry, tag: str, platforms: Sequence[str], wanted: Digest) -> list[str]:
    """Those of the platforms that a tag names now: in an index, or as the manifest that their own tag names too.

    Args:
        wanted: what the tag is to name; nothing is harmed if it does.

    Raises:
        StackbuildError: the registry refuses, or does not answer.
    """
    digest = registry.head(tag)
    if digest is None or digest == wanted:
        return []
    found = []
    for platform in platforms:
        one = pushed.manifest(registry, tag, platform)
        if one and (one["digest"] != digest or registry.head(platform_tag(tag, platform)) == digest):
            found.append(platform)
    return found
