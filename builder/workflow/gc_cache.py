"""Garbage collection of a remote cache: entries of actions that nobody would ask for any more.

Only tags that are entries of ours are judged. Deleting is by digest, and takes all tags of it along; so what a tag
names that stays is never deleted. The files that entries referred to are the registry's own to collect.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from builder.awaited import ready
from builder.digest import Digest
from builder.entry import CREATED, TAG, TYPE
from builder.errors import StackbuildError, Unreachable
from builder.marking import Roots, mark, planned
from builder.site import Planned
from builder.transports import deletion
from builder.transports.registry import Registry
from builder.workflow import build, caching, since_revision
from builder.workflow.project import Project
from builder.workflow.releases import recorded, retained
from builder.workflow.roots import Patience

_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_NONSENSE = (KeyError, TypeError, ValueError, AttributeError, RecursionError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A tag of the repository.

    Attributes:
        ours: whether it is an entry of an action.
        created: when it was left there, "" if it does not say.
        files: what it refers to: digest → bytes.
    """

    tag: str
    digest: Digest
    ours: bool = False
    created: str = ""
    files: dict[Digest, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What a run came to: tags by why they stay, those that went, and bytes that nothing refers to any more.

    `kept` has "plans", "releases", "young", "shared" (what it names has another name that stays), "foreign".
    """

    kept: dict[str, tuple[str, ...]]
    deleted: tuple[str, ...]
    freed_bytes: int


def collect(project: Project, place: str, revisions: Sequence[str], patience: Patience, *, dry_run: bool) -> Collected:
    """Delete entries from the cache at a place, or at the manifest's.

    Args:
        revisions: of git, whose plans are kept too.

    Raises:
        Problems, StackbuildError: there is no place; a plan cannot be made; the registry refuses, or does not answer.
    """
    registry = caching.located(project, place)
    if registry is None:
        raise StackbuildError(
            "no cache to collect from", next_step="--cache oci://HOST/REPOSITORY, or place in [cache] of stacks.toml"
        )
    plans = _plans(project, revisions)
    releases = _released(project, patience)
    registry.deleting()
    found = [one for one in registry.client.each(lambda tag: _look(registry, tag), deletion.tags(registry)) if one]
    since = patience.since(project.manifest.retention.days)
    why = {one.tag: _why(one, plans, releases, since) for one in found}
    staying = {one.digest for one in found if why[one.tag]}
    why |= {one.tag: "shared" for one in found if not why[one.tag] and one.digest in staying}
    gone = [one for one in found if not why[one.tag]]
    if not dry_run:
        _delete(registry, sorted({one.digest for one in gone}))
    left = {digest for one in found if why[one.tag] for digest in one.files}
    return Collected(
        kept={
            reason: tuple(tag for tag, said in why.items() if said == reason)
            for reason in ("plans", "releases", "young", "shared", "foreign")
        },
        deleted=tuple(one.tag for one in gone),
        freed_bytes=sum({d: size for one in gone for d, size in one.files.items() if d not in left}.values()),
    )


def _plans(project: Project, revisions: Sequence[str]) -> frozenset[Digest]:
    """Plan keys of all targets, as they are now and at revisions."""
    now = build.plan(project, ready(project.manifest, project.locks))
    found = [now, *(since_revision.planned_at(project, one) for one in revisions)]
    return frozenset().union(*(_keys(one.values()) for one in found))


def _keys(targets: Iterable[Planned]) -> frozenset[Digest]:
    return planned(one.image for one in targets if one.image is not None).plans


def _released(project: Project, patience: Patience) -> frozenset[Digest]:
    """Plan keys of the images of retained releases, as far as this machine's store knows them.

    An image's entry alone is enough: it refers to all layers, and nothing below is asked for.
    """
    said = project.manifest.retention
    kept = retained(recorded(project), said.releases, patience.since(said.days))
    images = frozenset(digest for one in kept for digest in (one.digest, *one.platforms.values()))
    return frozenset(mark(project.store, Roots(images=images), ()).actions)


def _look(registry: Registry, tag: str) -> Entry | None:
    """A tag as it is; None if it has just gone. One whose manifest cannot be had is none of ours.

    Raises:
        Unreachable, StackbuildError: the registry does not say.
    """
    digest = registry.head(tag)
    if digest is None:
        return None
    if not TAG.fullmatch(tag):
        return Entry(tag=tag, digest=digest)
    try:
        body = registry.document(digest).body
        manifest = json.loads(body)
        if manifest["artifactType"] != TYPE:
            return Entry(tag=tag, digest=digest)
        rows = [*manifest["layers"], manifest["config"]]
        return Entry(
            tag=tag,
            digest=digest,
            ours=True,
            created=_moment(manifest.get("annotations", {}).get(CREATED, "")),
            files={digest: len(body), **{Digest.parse(row["digest"]): int(row["size"]) for row in rows}},
        )
    except Unreachable:
        raise
    except (StackbuildError, *_NONSENSE):
        return Entry(tag=tag, digest=digest)


def _moment(text: object) -> str:
    """A moment in UTC as RFC 3339 writes it, "" of anything else."""
    return text if isinstance(text, str) and _MOMENT.fullmatch(text) else ""


def _why(one: Entry, plans: frozenset[Digest], releases: frozenset[Digest], since: str) -> str:
    """Why an entry stays, "" if nothing speaks for it. One without a time is as old as can be."""
    found = TAG.fullmatch(one.tag)
    if not one.ours or found is None:
        return "foreign"
    key = Digest(f"sha256:{found[1]}")
    return "plans" if key in plans else "releases" if key in releases else "young" if one.created > since else ""


def _delete(registry: Registry, digests: Sequence[Digest]) -> None:
    """Delete manifests: one first, so that a registry which refuses says so once."""
    for some in (digests[:1], digests[1:]):
        registry.client.each(lambda digest: deletion.delete(registry, digest), some)
