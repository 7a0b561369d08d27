"""What a built target was built from: manifest, locks, overlays and scripts, base images, the commit."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from builder import __version__
from builder.digest import Digest
from builder.errors import StackbuildError
from builder.kinds.oci.lockfile import BaseLock
from builder.locking import relative
from builder.locks import formats
from builder.manifest.model import Target
from builder.planner import lineage
from builder.program import REQUIREMENTS
from builder.provenance import BUILDER, Input, Provenance
from builder.purls import purl
from builder.site import Planned
from builder.workflow import build, git
from builder.workflow.project import Project

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]+")


def provenance(
    project: Project, planned: Mapping[Target, Planned], target: Target, *, builder: str = "", name: str = ""
) -> Provenance:
    """How a target's image came to be.

    Args:
        builder: a URI of who built it; by default one that promises nothing.
        name: what the image is called; by default as the project's repository has it.

    Raises:
        StackbuildError: it is not built; `builder` is no URI.
    """
    if builder and not _URI.fullmatch(builder):
        raise StackbuildError("a builder's id is a URI", got=builder[:200], expected="https://ci.example.com/stacks")
    result = build.result(project, planned, target)
    end = planned[target].image
    assert end is not None
    inputs = {one.name: one for one in _inputs(project, planned, target)}
    return Provenance(
        target=target,
        name=name or project.manifest.published(target),
        digest=Digest(result["manifest"]["digest"]),
        plan_key=end.plan_key,
        inputs=tuple(inputs[one] for one in sorted(inputs)),
        builder=builder or BUILDER,
        program=__version__,
        requirements=Digest.of_file(REQUIREMENTS),
    )


def _inputs(project: Project, planned: Mapping[Target, Planned], target: Target) -> Iterator[Input]:
    manifest, locks = project.manifest, project.locks
    yield from _commit(project)
    yield _file(project, manifest.path, Digest.of_file(manifest.path))
    for one in manifest.lineage(target):
        for kind in formats():
            if (lock := locks.read(one, kind)) is not None:
                path = locks.path(one, kind)
                yield _file(project, path, Digest.of_file(path))
                if isinstance(lock, BaseLock):
                    yield _base(lock)
    for step in lineage(manifest, target, planned):
        for action in step.actions:
            for digest, path in action.local.items():
                yield _file(project, path, Digest(digest))


def _file(project: Project, path: Path, digest: Digest) -> Input:
    return Input(name=relative(project.manifest, path), digests={"sha256": digest.hex})


def _base(lock: BaseLock) -> Input:
    place = f"{lock.host}/{lock.repository}" if lock.host else lock.repository
    uri = purl("oci", place.rpartition("/")[2], lock.manifest, repository_url=place, tag=lock.tag)
    return Input(name=f"oci:{lock.name}", digests={"sha256": lock.manifest.hex}, uri=uri)


def _commit(project: Project) -> Iterator[Input]:
    """What is checked out, if git knows; files that differ from it are told of, and have their own digests anyway."""
    folder = project.manifest.folder
    revision = git.commit_of(folder, "HEAD")
    if not revision:
        return
    changed = git.run(folder, "status", "--porcelain", "--untracked-files=no").strip()
    source = project.manifest.project.source
    yield Input(
        name="source",
        digests={"gitCommit": revision},
        uri=f"git+{source}@{revision}" if source else "",
        said={"changed": "true"} if changed else {},
    )
