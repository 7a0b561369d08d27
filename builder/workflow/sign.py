"""Sign what was pushed: the manifest of each platform, and the index over them.

own manifests (built here, or by machines that are believed) ─→ signed, each one
                                                                  │
an index ─→ are all its manifests own, or signed by the key? ─────┴─→ signed

So a platform that another machine builds is signed by that machine, and the index by whoever comes last. An index that
names what nobody vouches for stays unsigned: whoever can write to the registry could have put it there. Who only lists
what another program is to sign has no key by which to know signatures; then the plan key does that `push` attached, as
for `push` itself (`join.py`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field

from builder.digest import Digest
from builder.errors import HostileInput, StackbuildError
from builder.kinds.oci import documents
from builder.manifest.model import Target
from builder.net import Client
from builder.offline import refuse
from builder.signatures.keys import PASSPHRASE, PrivateKey, private
from builder.signatures.payload import MEDIA_TYPE, payload
from builder.signatures.search import search
from builder.site import Planned
from builder.transports import signature_tag
from builder.transports.registry import Registry
from builder.transports.signature_tag import Signature
from builder.workflow import pushed, releases
from builder.workflow.network import environ_of
from builder.workflow.project import Project
from builder.workflow.repositories import Repositories
from builder.workflow.shipment import shipments
from builder.workflow.tags import Tags

KEY = "STACKBUILD_SIGNING_KEY"
_MOST = 10_000
"""Lines of what was built elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """How to sign.

    Attributes:
        key: None to say only what would be signed.
        dry_run: write nothing.
        repository: where the images were pushed to, instead of the project's.
        templates: of the tags at which indexes are looked for, instead of the project's.
        elsewhere: by name, manifests that other machines say they built.
    """

    key: PrivateKey | None = None
    dry_run: bool = False
    repository: str = ""
    templates: tuple[str, ...] = ()
    elsewhere: Mapping[str, Sequence[Digest]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A manifest or an index with a signature, or one that would get it.

    Attributes:
        name: what the image is called, without a tag.
        new: whether it was not there before.
    """

    name: str
    digest: Digest
    new: bool


def sign(
    project: Project,
    planned: Mapping[Target, Planned],
    targets: Sequence[Target],
    wanted: Wanted,
    told: Callable[[str], None] = lambda _: None,
) -> tuple[Signed, ...]:
    """Sign the pushed manifests of built targets and the indexes over them, each once; manifests come first.

    Raises:
        StackbuildError: a target is not built, or not pushed; the registry refuses; this run may use no network.
        Unreachable: the registry does not answer.
    """
    images = shipments(project, planned, targets, wanted.repository)
    environ = environ_of(project)
    refuse(environ, "signatures are left in a registry")
    client = Client(environ=environ)
    repositories = Repositories(client, environ)
    own = {name: dict.fromkeys(digests) for name, digests in wanted.elsewhere.items()}
    for one in images:
        own.setdefault(one.name, {})[one.digest] = None
    _refuse_absent(repositories, own, wanted.repository)

    def signed(row: tuple[str, Digest]) -> Signed:
        return Signed(name=row[0], digest=row[1], new=_sign(repositories, *row, wanted))

    def known(name: str, index: Digest) -> Iterator[Digest]:
        if wanted.key is None:
            registry = repositories.upload(name).registry
            mine = [one for one in planned if project.manifest.published(one, wanted.repository) == name]
            yield from _as_planned(registry, index, planned, mine)

    found = client.each(signed, [(name, digest) for name, digests in own.items() for digest in digests])
    tags = Tags(project, wanted.templates)
    indexes = [
        (name, digest)
        for name, digests in own.items()
        for digest in _indexes(repositories.upload(name).registry, _candidates(project, name, tags), digests)
        if _is_whole(repositories.upload(name).registry, digest, {*digests, *known(name, digest)}, wanted, told)
    ]
    return (*found, *client.each(signed, indexes))


def signing_key(project: Project, path: str) -> PrivateKey | None:
    """The key to sign with: of a file, or what the environment names; None where neither does.

    Raises:
        StackbuildError: it is none.
    """
    environ = environ_of(project)
    if "-----BEGIN" in path:  # Everybody on the machine sees command lines.
        raise StackbuildError("a key does not belong into a command line", expected=f"its file, or its text in {KEY}")
    text = path or environ.get(KEY, "")
    return private(text, environ.get(PASSPHRASE, ""), "--key" if path else KEY) if text else None


def read_lines(lines: Sequence[str], names: Sequence[str]) -> dict[str, list[Digest]]:
    """NAME@DIGEST, one a line, by name.

    Args:
        names: that may stand there.

    Raises:
        StackbuildError: a line is none, or of another image.
    """
    found: dict[str, list[Digest]] = {}
    if len(lines) > _MOST:
        raise HostileInput("too many lines of what was built elsewhere", expected=f"at most {_MOST}")
    for number, line in enumerate(lines, 1):
        name, at, digest = line.strip().rpartition("@")
        if not line.strip():
            continue
        if not at or name not in names:
            raise StackbuildError(
                "not an image of this project that was pushed",
                where=f"line {number} of what was built elsewhere",
                expected="NAME@sha256:…, with the name of one of the targets",
                got=line.strip()[:200],
            )
        found.setdefault(name, []).append(Digest.parse(digest))
    return found


def manifests(registry: Registry, name: str) -> tuple[Digest, tuple[Digest, ...]] | None:
    """What a tag or a digest names, and all manifests in it if it is an index; None where there is no such thing.

    Raises:
        HostileInput: it is an index with nonsense in it.
    """
    document = registry.found(f"{registry.base}/manifests/{name}")
    if document is None or not documents.is_index(document):
        return (document.digest, ()) if document else None
    try:
        rows = json.loads(document.body)["manifests"]
        return document.digest, tuple(Digest.parse(str(row["digest"])) for row in rows)
    except (ValueError, KeyError, TypeError, RecursionError):
        raise HostileInput(f"not an index: {registry.name}:{name}") from None


def _refuse_absent(repositories: Repositories, own: Mapping[str, Mapping[Digest, None]], repository: str) -> None:
    for name, digests in own.items():
        for digest in digests:
            if repositories.upload(name).registry.head(digest) != digest:
                raise StackbuildError(
                    f"not pushed: {name}@{digest}",
                    next_step="stackbuild push" + (f" --to {repository}" if repository else ""),
                )


def _candidates(project: Project, name: str, tags: Tags) -> Iterator[str]:
    """Where the index of an image may be: at its tags, and where this store's last push of it left it."""
    yield from tags.fixed
    yield from (one.digest for one in releases.recorded(project, [name])[-1:])


def _indexes(registry: Registry, candidates: Iterator[str], own: Mapping[Digest, None]) -> Iterator[Digest]:
    """Those of the candidates that are indexes over something of ours, each once."""
    seen = set[Digest]()
    for candidate in candidates:
        found = manifests(registry, candidate)
        if found is not None and found[0] not in {*seen, *own} and any(one in own for one in found[1]):
            seen.add(found[0])
            yield found[0]


def _as_planned(
    registry: Registry, index: Digest, planned: Mapping[Target, Planned], targets: Sequence[Target]
) -> Iterator[Digest]:
    """Those manifests of an index that have the plan keys of these targets attached."""
    for target in targets:
        if planned[target].image is not None:
            found = pushed.find(registry, [index], target, pushed.key_of(planned, target))
            if found is not None:
                yield Digest(found["digest"])


def _is_whole(registry: Registry, index: Digest, own: Set[Digest], wanted: Wanted, told: Callable[[str], None]) -> bool:
    """Whether somebody vouches for every manifest of an index."""
    found = manifests(registry, index)
    keys = [wanted.key.public] if wanted.key else []
    for one in found[1] if found else ():
        if one not in own and search(registry, one, keys).key is None:
            told(
                f"{registry.name}@{index} stays unsigned: {one} in it was not built here, nor signed by this key; "
                "sign where it was built, then here again"
            )
            return False
    return found is not None


def _sign(repositories: Repositories, name: str, digest: Digest, wanted: Wanted) -> bool:
    """Sign one, unless the key has; whether it had not."""
    if wanted.key is None:
        return True
    upload = repositories.upload(name)
    if search(upload.registry, digest, [wanted.key.public]).key is not None:
        return False
    if not wanted.dry_run:
        data = payload(name, digest)
        row = Signature(media_type=MEDIA_TYPE, payload=Digest.of(data), size=len(data), signature=wanted.key.sign(data))
        signature_tag.add(upload, digest, row, data)
    return True
