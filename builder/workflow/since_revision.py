"""A project as it was at a git revision, and what changed since: keys decide, never the diff of files."""

from __future__ import annotations

import io
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from builder.awaited import ready
from builder.errors import StackbuildError
from builder.locks import Locks
from builder.manifest.model import Target
from builder.manifest.read import read
from builder.planner import plan_targets
from builder.site import Planned
from builder.workflow.fresh import FOLDERS
from builder.workflow.project import Project

_GIT = ("git", "-c", "safe.bareRepository=explicit")
"""A branch may hold a folder that is a repository of its own, whose settings name programs (git-config(1))."""


def changed(
    planned: Mapping[Target, Planned], then: Mapping[Target, Planned], targets: Sequence[Target]
) -> list[Target]:
    """Those of the targets whose plan key was another one `then` (see `planned_at`), or that were not there."""
    found = []
    for target in targets:
        before, now = then.get(target), planned[target].image
        if before is None or before.image is None or now is None or before.image.plan_key != now.plan_key:
            found.append(target)
    return found


@contextmanager
def at(project: Project, revision: str) -> Iterator[Project]:
    """The project as that revision has it, with the same store. It lies in a folder that is gone afterwards.

    Raises:
        StackbuildError: git does not know the revision, or it has no sound manifest.
    """
    path = project.manifest.path
    with tempfile.TemporaryDirectory() as name:
        _export(path.parent, revision, path.name, Path(name))
        manifest = read(Path(name) / path.name)
        yield Project(manifest=manifest, locks=Locks(Path(name) / "locks", project.locks), store=project.store)


def commit_of(folder: Path, revision: str) -> str:
    """The hash of the commit that a text names, "" where git knows none, or there is no git."""
    try:
        found = git(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    except StackbuildError:
        return ""
    return found.decode().strip()


def planned_at(project: Project, revision: str) -> dict[Target, Planned]:
    """What the project's manifest, locks, overlays and scripts of a git revision come to; files are not there any more.

    Raises:
        StackbuildError: git does not know the revision, or its manifest cannot be planned.
    """
    with at(project, revision) as old:
        return plan_targets(old.manifest, old.locks, ready(old.manifest, old.locks))


def _export(folder: Path, revision: str, manifest: str, into: Path) -> None:
    """The manifest, locks, overlays and scripts of a revision; git's own archive, nothing of the work tree."""
    prefix = git(folder, "rev-parse", "--show-prefix").decode().strip()
    if not commit_of(folder, revision):
        raise StackbuildError(
            f"no such revision: {revision}",
            where=str(folder),
            next_step="name a revision that git knows; in CI, fetch enough history",
        )
    present = git(folder, "ls-tree", "--name-only", "--end-of-options", f"{revision}:{prefix}").decode().split("\n")
    wanted = [name for name in (manifest, *FOLDERS) if name in present]
    if manifest not in wanted:
        raise StackbuildError(f"no {manifest} at revision {revision}", where=str(folder))
    data = git(folder, "archive", "--format=tar", "--end-of-options", f"{revision}:{prefix}", *wanted)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for member in archive:
            path = into / member.name
            if member.isreg():
                content = archive.extractfile(member)
                assert content is not None
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content.read())
                path.chmod(0o755 if member.mode & 0o100 else 0o644)
            elif member.issym():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.symlink_to(member.linkname)


def git(folder: Path, *arguments: str) -> bytes:
    """What git says in a folder.

    Raises:
        StackbuildError: it failed, or is not installed.
    """
    try:
        done = subprocess.run([*_GIT, "-C", str(folder), *arguments], capture_output=True, check=False)
    except FileNotFoundError:
        raise StackbuildError("git is not installed", next_step="sudo apt-get install git") from None
    if done.returncode:
        raise StackbuildError(
            f"git failed: git {' '.join(arguments)}",
            got=done.stderr.decode(errors="replace").strip()[-300:],
            next_step="name a revision that git knows; in CI, fetch enough history",
        )
    return done.stdout
