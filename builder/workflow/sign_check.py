"""Look who has signed what a tag names: the index and every manifest in it. Nothing need be built or locked here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from builder.digest import Digest
from builder.errors import StackbuildError
from builder.net import Client
from builder.offline import refuse
from builder.signatures.keys import PublicKey
from builder.signatures.search import search
from builder.workflow import releases
from builder.workflow.network import environ_of
from builder.workflow.project import Project
from builder.workflow.repositories import Repositories
from builder.workflow.sign import manifests
from builder.workflow.tags import Tags


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A manifest or an index.

    Attributes:
        name: what the image is called, without a tag.
        why: it is not signed; "" if it is.
    """

    name: str
    digest: Digest
    why: str


def check(
    project: Project, names: Sequence[str], key: PublicKey, *, templates: Sequence[str] = ()
) -> tuple[Checked, ...]:
    """Who has signed these images, as they are called without a tag; indexes before what is in them.

    Args:
        templates: of tags, instead of the project's; digests will do as well.

    Raises:
        StackbuildError: nobody says which tag, or there is none; the registry refuses; this run may use no network.
        Unreachable: the registry does not answer.
    """
    environ = environ_of(project)
    refuse(environ, "signatures are looked for in a registry")
    client = Client(environ=environ)
    repositories = Repositories(client, environ)

    def digests(name: str) -> list[tuple[str, Digest]]:
        registry = repositories.upload(name).registry
        found: dict[Digest, None] = {}
        for tag in _tags(project, name, templates):
            named = manifests(registry, tag)
            if named is None:
                raise StackbuildError(
                    f"no such image: {name}{'@' if tag.startswith('sha256:') else ':'}{tag}",
                    next_step="stackbuild sign --check IMAGE, with those that were pushed",
                )
            found |= dict.fromkeys((named[0], *named[1]))
        return [(name, digest) for digest in found]

    def looked(row: tuple[str, Digest]) -> Checked:
        return Checked(name=row[0], digest=row[1], why=search(repositories.upload(row[0]).registry, row[1], [key]).why)

    return tuple(client.each(looked, [row for rows in client.each(digests, names) for row in rows]))


def _tags(project: Project, name: str, templates: Sequence[str]) -> Sequence[str]:
    given = [one for one in templates if one.startswith("sha256:")]
    left = [one for one in templates if one not in given]
    tags = [*given, *(Tags(project, left).fixed if left or not given else ())]
    found = tags or [one.digest for one in releases.recorded(project, [name])[-1:]]
    if not found:
        raise StackbuildError(
            f"which {name} is meant?", expected="a tag, or a digest", next_step="stackbuild sign --check --tag TAG"
        )
    return found
