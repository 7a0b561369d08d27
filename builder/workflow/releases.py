"""Releases: what was pushed from this store, by digest; and tags that move between digests without a build.

Every push leaves a line in the store's `pushed.jsonl`. The registry is asked for what a line says before anything is
done with it, so a line that is out of date does no harm.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from builder.digest import Digest
from builder.errors import StackbuildError
from builder.manifest.model import Manifest, Target
from builder.net import Client
from builder.offline import refuse
from builder.settling import settle
from builder.store import Store
from builder.transports.upload import Upload
from builder.workflow.network import environ_of
from builder.workflow.project import Project
from builder.workflow.repositories import Repositories

_FILE = "pushed.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One image over its platforms, as it was pushed.

    Attributes:
        time: when, in UTC, as RFC 3339 writes it.
        project: whose image it is.
        name: with its registry, without a tag.
        digest: of its index, or of its only manifest.
        tags: those that it got then.
        back: whether they went back to it: what they named since is no place to go back to any more.
    """

    time: str
    project: str
    name: str
    digest: Digest
    tags: tuple[str, ...]
    platforms: Mapping[str, Digest]
    back: bool = False


def record(store: Store, releases: Sequence[Release]) -> None:
    """Remember releases; one that is the same as the last of its name is no news."""
    with store.guarded("pushed"):
        known = list(_lines(store))
        last = {(one.project, one.name): one for one in known}
        news = [one for one in releases if not _same(last.get((one.project, one.name)), one)]
        if news:
            text = "".join(json.dumps(_row(one), sort_keys=True) + "\n" for one in [*known, *news])
            settle(store.write(_FILE, text.encode()).parent)  # Nothing else remembers them: a power cut may not.


def recorded(project: Project, names: Sequence[str] = ()) -> tuple[Release, ...]:
    """The project's releases, oldest first; of these names only, if any are given."""
    own = (one for one in _lines(project.store) if one.project == project.manifest.project.name)
    return tuple(one for one in own if not names or one.name in names)


def everything(store: Store) -> tuple[Release, ...]:
    """The releases of all projects that were pushed from a store, oldest first."""
    return tuple(_lines(store))


def retained(releases: Sequence[Release], newest: int, since: str) -> tuple[Release, ...]:
    """Those of one project's releases that are kept whole, oldest first.

    Of each name, the newest digests; what is newer than a moment; and of each tag that has moved, what it names now
    and what it named before, where `rollback` would take it.

    Args:
        newest: how many digests of each name.
        since: in UTC, as RFC 3339 writes it.
    """
    kept: set[tuple[str, Digest]] = set()
    names = dict.fromkeys(one.name for one in releases)
    for name in names:
        own = [one for one in releases if one.name == name]
        digests = list(dict.fromkeys(one.digest for one in reversed(own)))
        kept.update((name, one) for one in digests[:newest])
        for tag in dict.fromkeys(tag for one in own for tag in one.tags):
            history = _history(own, tag)
            kept.update((name, one) for one in history[-2:] if len(history) > 1)
    return tuple(one for one in releases if one.time > since or (one.name, one.digest) in kept)


def now() -> str:
    return stamp(datetime.now(UTC))


def stamp(moment: datetime) -> str:
    """A moment in UTC, as RFC 3339 writes it; such texts sort by time."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def homes(store: Store) -> Iterator[tuple[str, Digest]]:
    """Repository and digest of each manifest that was pushed from this store."""
    for one in _lines(store):
        for digest in one.platforms.values():
            yield one.name, digest


def names_of(manifest: Manifest, targets: Sequence[Target], repository: str = "") -> tuple[str, ...]:
    """What these targets are called in their registry, each once."""
    return tuple(dict.fromkeys(manifest.published(target, repository) for target in targets))


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """A tag that names something else now; `before` is None where it is new."""

    name: str
    tag: str
    before: Digest | None
    digest: Digest


def promote(project: Project, names: Sequence[str], source: str, tags: Sequence[str]) -> tuple[Moved, ...]:
    """Let tags of these images name what `source`, a tag or a digest, names now. All are looked at before any moves.

    Raises:
        StackbuildError: an image has no such tag or digest; the registry refuses.
    """
    uploads = _uploads(project, names)
    found = {name: upload.registry.document(source) for name, upload in uploads.items()}
    moved = []
    for tag in tags:
        for name, upload in uploads.items():
            before = upload.registry.head(tag)
            if before != found[name].digest:
                upload.manifest(tag, found[name].media_type, found[name].body)
                moved.append(Moved(name=name, tag=tag, before=before, digest=found[name].digest))
    record(project.store, [_told(project, one) for one in moved])
    return tuple(moved)


def rollback(project: Project, names: Sequence[str], tag: str) -> tuple[Moved, ...]:
    """Let a tag of these images name what it named before, by this store's record. All are looked at before any moves.

    Raises:
        StackbuildError: nothing is known of a release before; the registry does not have it any more, or refuses.
    """
    uploads = _uploads(project, names)
    wanted = {}
    for name, upload in uploads.items():
        current = upload.registry.head(tag)
        if current is None:
            raise StackbuildError(f"no such tag: {name}:{tag}")
        before = _before(_history(recorded(project, [name]), tag), f"{name}:{tag}", current)
        wanted[name] = (current, upload.registry.document(before))
    moved = []
    for name, (current, document) in wanted.items():
        uploads[name].manifest(tag, document.media_type, document.body)
        moved.append(Moved(name=name, tag=tag, before=current, digest=document.digest))
    record(project.store, [_told(project, one, back=True) for one in moved])
    return tuple(moved)


def _history(releases: Sequence[Release], tag: str) -> list[Digest]:
    """What a tag named, oldest first, each once after the other; what it was taken back from is left out."""
    found: list[Digest] = []
    for one in releases:
        if tag in one.tags:
            while one.back and found and found[-1] != one.digest:
                found.pop()
            if found[-1:] != [one.digest]:
                found.append(one.digest)
    return found


def _before(digests: Sequence[Digest], name: str, current: Digest) -> Digest:
    """The digest before the newest place of the current one."""
    if current not in digests:
        raise StackbuildError(
            f"what {name} names now was not named from this store: {current}",
            next_step="stackbuild promote DIGEST TAG, with the digest that it should be",
        )
    last = len(digests) - 1 - digests[::-1].index(current)
    if last == 0:
        raise StackbuildError(f"{name} named nothing else before", got=current, next_step="stackbuild releases")
    return digests[last - 1]


def _told(project: Project, moved: Moved, *, back: bool = False) -> Release:
    """A tag that moved later, as a release of its own."""
    known = next((one for one in recorded(project, [moved.name]) if one.digest == moved.digest), None)
    return Release(
        time=now(),
        project=project.manifest.project.name,
        name=moved.name,
        digest=moved.digest,
        tags=(moved.tag,),
        platforms=known.platforms if known else {},
        back=back,
    )


def _uploads(project: Project, names: Sequence[str]) -> dict[str, Upload]:
    environ = environ_of(project)
    refuse(environ, "tags are moved in a registry")
    repositories = Repositories(Client(environ=environ), environ)
    return {name: repositories.upload(name) for name in names}


def _lines(store: Store) -> Iterator[Release]:
    try:
        text = (store.path / _FILE).read_text("utf-8")
    except FileNotFoundError:
        return
    for number, line in enumerate(text.splitlines(), 1):
        try:
            row = json.loads(line)
            yield Release(
                time=row["time"],
                project=row["project"],
                name=row["name"],
                digest=Digest.parse(row["digest"]),
                tags=tuple(row["tags"]),
                platforms={platform: Digest.parse(one) for platform, one in row["platforms"].items()},
                back=bool(row.get("back")),
            )
        except (ValueError, KeyError, TypeError, AttributeError, StackbuildError):
            raise StackbuildError(
                f"the record of releases is damaged: {store.path / _FILE}",
                where=f"line {number}",
                next_step="correct or remove that line",
            ) from None


def _row(one: Release) -> dict[str, object]:
    return {
        "time": one.time,
        "project": one.project,
        "name": one.name,
        "digest": one.digest,
        "tags": list(one.tags),
        "platforms": dict(one.platforms),
        "back": one.back,
    }


def _same(one: Release | None, other: Release) -> bool:
    return one is not None and (one.digest, one.tags, one.back) == (other.digest, other.tags, other.back)
