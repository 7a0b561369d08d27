"""What a pushed image holds, remembered in the store by the digest of its manifest: `released/<hex>.json`.

A manifest does not name its packages, and the locks move on; so a push writes down what its locks said. A release from
before that, or of another machine, is looked up at the commit that its tag names (`{revision}`), if there is one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache

from builder.advisories.hits import Subject
from builder.awaited import ready
from builder.digest import Digest, Json, canonical
from builder.ecosystem import Known
from builder.errors import StackbuildError
from builder.manifest.model import Target
from builder.workflow import git, since_revision
from builder.workflow.project import Project
from builder.workflow.releases import Release
from builder.workflow.shipment import Shipment
from builder.workflow.subjects import subjects

ROOM = "released"
_REVISION = re.compile(r"(?:.*-)?([0-9a-f]{12})")


def remember(project: Project, ends: Sequence[Release], images: Sequence[Shipment]) -> None:
    """Write down what each platform of what was pushed holds.

    What another machine pushed counts too: it became part of an index because it was built from the same plan.
    """
    whose = {one.name: one.target for one in images}
    for end in ends:
        own = whose[end.name]
        for platform, digest in end.platforms.items():
            target = Target(own.image, own.variant, platform)
            rows = [_row(one) for one in subjects(project, target)]
            body = canonical({"target": str(target), "packages": rows})
            project.store.write(f"{ROOM}/{digest.hex}.json", body + b"\n")


class Contents:
    """What releases hold; each commit is looked at once."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._at = cache(self._states)

    def of(self, release: Release, platform: str) -> tuple[Subject, ...] | None:
        """The packages of one platform of a release; None where nobody knows any more."""
        digest = release.platforms[platform]
        found = self._remembered(digest)
        if found is not None:
            return found
        for tag in release.tags:
            match = _REVISION.fullmatch(tag)
            # `{key}` makes tags of the same shape.
            if match and match[1] not in {release.digest.hex[:12], digest.hex[:12]}:
                for (title, there), packages in self._at(match[1]).items():
                    if there == platform and release.name.endswith(f"/{title}"):
                        return packages
        return None

    def _remembered(self, digest: Digest) -> tuple[Subject, ...] | None:
        try:
            rows = json.loads((self._project.store.path / ROOM / f"{digest.hex}.json").read_bytes())["packages"]
            return tuple(map(_subject, rows))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def _states(self, revision: str) -> Mapping[tuple[str, str], tuple[Subject, ...]]:
        commit = git.commit_of(self._project.manifest.folder, revision)
        return dict(self._state(commit)) if commit else {}

    def _state(self, commit: str) -> Iterator[tuple[tuple[str, str], tuple[Subject, ...]]]:
        try:
            with since_revision.at(self._project, commit) as then:
                for target in ready(then.manifest, then.locks):
                    yield (then.manifest.title(target), target.platform), subjects(then, target)
        except StackbuildError:
            return  # A manifest that this stackbuild does not read any more.


def _row(one: Subject) -> Json:
    known = [(each.ecosystem, each.name, each.version) for each in one.known]
    return (one.kind, one.name, one.version, one.image, one.prefix, known, one.aliases)


def _subject(row: Sequence[object]) -> Subject:
    kind, name, version, image, prefix, known, aliases = row
    assert isinstance(known, list) and isinstance(aliases, list)
    return Subject(
        kind=str(kind),
        name=str(name),
        version=str(version),
        image=str(image),
        prefix=str(prefix),
        known=tuple(Known(*map(str, each)) for each in known),
        aliases=tuple((str(alias), str(other)) for alias, other in aliases),
    )
