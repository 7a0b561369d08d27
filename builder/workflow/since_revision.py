"""Compare the plan with that of a git revision: keys decide, never the diff of files."""

from __future__ import annotations

import io
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from builder.errors import StackbuildError
from builder.locks import Locks
from builder.manifest.model import Target
from builder.manifest.read import read
from builder.planner import plan_targets
from builder.site import Planned
from builder.workflow.fresh import FOLDERS
from builder.workflow.project import Project


def changed(
    project: Project, planned: Mapping[Target, Planned], revision: str, targets: Sequence[Target]
) -> list[Target]:
    """Those of the targets whose plan key is another one at `revision`, or that are not there.

    Raises:
        StackbuildError: git does not know the revision, or its manifest cannot be planned.
    """
    folder = project.manifest.folder
    with tempfile.TemporaryDirectory() as name:
        _export(folder, revision, project.manifest.path.name, Path(name))
        manifest = read(Path(name) / project.manifest.path.name)
        then = plan_targets(manifest, Locks(Path(name) / "locks"), tuple(manifest.targets()))
    found = []
    for target in targets:
        before, now = then.get(target), planned[target].image
        if before is None or before.image is None or now is None or before.image.plan_key != now.plan_key:
            found.append(target)
    return found


def _export(folder: Path, revision: str, manifest: str, into: Path) -> None:
    """The manifest, locks, overlays and scripts of a revision; git's own archive, nothing of the work tree."""
    prefix = git(folder, "rev-parse", "--show-prefix").decode().strip()
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
        StackbuildError: it failed.
    """
    done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, check=False)
    if done.returncode:
        raise StackbuildError(
            f"git failed: git {' '.join(arguments)}",
            got=done.stderr.decode(errors="replace").strip()[-300:],
            next_step="name a revision that git knows; in CI, fetch enough history",
        )
    return done.stdout
