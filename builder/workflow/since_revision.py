"""A project as it was at a git revision, and what changed since: keys decide, never the diff of files."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from builder.awaited import ready
from builder.digest import Digest
from builder.errors import StackbuildError
from builder.locks import Locks
from builder.manifest.model import Target
from builder.manifest.read import read
from builder.planner import plan_targets
from builder.project_files import FOLDERS, identity
from builder.site import Planned
from builder.workflow import git, keytables
from builder.workflow.keytables import KeyTables
from builder.workflow.project import Project


def changed(now: Mapping[Target, Digest], then: Mapping[Target, Digest]) -> list[Target]:
    """Those of the targets whose plan key was another one `then` (see `tables_at`), or that were not there."""
    return [target for target, key in now.items() if then.get(target) != key]


def since(project: Project, revision: str, targets: Sequence[Target]) -> list[Target]:
    """Those of the targets that differ from what a git revision comes to.

    Raises:
        StackbuildError: git does not know the revision, or its manifest cannot be planned.
        Problems: locks are missing or damaged.
    """
    now = keytables.of(project)
    then = tables_at(project, revision, now)
    return changed(now.keys(targets), then.keys(then.ready()))


@contextmanager
def at(project: Project, revision: str) -> Iterator[Project]:
    """The project as that revision has it, with the same store. It lies in a folder that is gone afterwards.

    Raises:
        StackbuildError: git does not know the revision, or it has no sound manifest.
    """
    path = project.manifest.path
    tree = git.tree_of(path.parent, revision)
    present = {one.partition("/")[0] for one in _files(path, tree, revision)}
    with tempfile.TemporaryDirectory() as name:
        git.export(path.parent, tree, [one for one in (path.name, *FOLDERS) if one in present], Path(name))
        manifest = read(Path(name) / path.name)
        yield Project(manifest=manifest, locks=Locks(Path(name) / "locks", project.locks), store=project.store)


def tables_at(project: Project, revision: str, now: KeyTables) -> KeyTables:
    """The plan keys that the project had at a git revision.

    Files that are still the same, as git says, are not read again: what this takes is decided by what changed.

    Args:
        now: those of the project as it lies there.

    Raises:
        StackbuildError: git does not know the revision, or it has no sound manifest.
    """
    path, folder = project.manifest.path, project.manifest.folder
    tree = git.tree_of(folder, revision)
    listed = [one for one in _files(path, tree, revision) if one.startswith(_BELOW)]
    moved = git.moved(folder, revision, (path.name, *FOLDERS))
    files = {one: now.files[one] for one in listed if one in now.files and one not in moved}
    if files == now.files and path.name not in moved:
        return now
    manifest = project.manifest
    with tempfile.TemporaryDirectory() as name:
        other = [one for one in (path.name, *listed) if one not in files and (one != path.name or one in moved)]
        if other:
            git.export(folder, tree, other, Path(name))
        files |= {one: identity(os.path.join(name, one)) for one in other if one != path.name}
        if path.name in moved:
            manifest = read(Path(name) / path.name, path)
    return KeyTables(manifest, dict(sorted(files.items())), project.store, lambda: at(project, revision))


_BELOW = tuple(f"{name}/" for name in FOLDERS)


def _files(manifest: Path, tree: str, revision: str) -> frozenset[str]:
    """The files of a revision of a project.

    Raises:
        StackbuildError: its manifest is not among them.
    """
    found = git.files_of(manifest.parent, tree)
    if manifest.name not in found:
        raise StackbuildError(f"no {manifest.name} at revision {revision}", where=str(manifest.parent))
    return found


def planned_at(project: Project, revision: str) -> dict[Target, Planned]:
    """What the project's manifest, locks, overlays and scripts of a git revision come to; files are not there any more.

    Raises:
        StackbuildError: git does not know the revision, or its manifest cannot be planned.
    """
    with at(project, revision) as old:
        return plan_targets(old.manifest, old.locks, ready(old.manifest, old.locks))
