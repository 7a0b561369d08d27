"""What git knows of a project: revisions, the files that they have, and which of them are other ones now."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from builder.errors import StackbuildError

_GIT = ("git", "--literal-pathspecs", "-c", "safe.bareRepository=explicit")
"""A branch may hold a folder that is a repository of its own, whose settings name programs (git-config(1))."""
_MANY = 500
"""Paths that one command line takes easily; for more, the folders are asked for that they lie in."""


def run(folder: Path, *arguments: str, into: IO[bytes] | None = None) -> bytes:
    """What git says in a folder, or nothing if a file is to take it.

    Raises:
        StackbuildError: it failed, or is not installed.
    """
    try:
        done = subprocess.run(
            [*_GIT, "-C", str(folder), *arguments], stdout=into or subprocess.PIPE, stderr=subprocess.PIPE, check=False
        )
    except FileNotFoundError:
        raise StackbuildError("git is not installed", next_step="sudo apt-get install git") from None
    if done.returncode:
        raise StackbuildError(
            f"git failed: git {' '.join(arguments)}",
            got=done.stderr.decode(errors="replace").strip()[-300:],
            next_step="name a revision that git knows; in CI, fetch enough history",
        )
    return done.stdout or b""


def commit_of(folder: Path, revision: str) -> str:
    """The hash of the commit that a text names, "" where git knows none, or there is no git."""
    try:
        found = run(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    except StackbuildError:
        return ""
    return found.decode().strip()


def tree_of(folder: Path, revision: str) -> str:
    """What git calls a folder as a revision has it.

    Raises:
        StackbuildError: git does not know the revision.
    """
    if not commit_of(folder, revision):
        raise StackbuildError(
            f"no such revision: {revision}",
            where=str(folder),
            next_step="name a revision that git knows; in CI, fetch enough history",
        )
    prefix = os.fsdecode(run(folder, "rev-parse", "--show-prefix")).removesuffix("\n")
    return f"{revision}:{prefix}"


def files_of(folder: Path, tree: str) -> frozenset[str]:
    """The files of a tree, links among them, relative to it; no submodules."""
    rows = os.fsdecode(run(folder, "ls-tree", "-r", "-z", "--full-tree", "--end-of-options", tree)).split("\0")
    return frozenset(path for head, _, path in (row.partition("\t") for row in rows) if " blob " in head)


def moved(folder: Path, revision: str, wanted: Sequence[str]) -> frozenset[str]:
    """Which files of a revision are not, or not the same, in the folder, as git itself sees it."""
    told = run(folder, "diff", "--name-only", "--no-renames", "--relative", "-z", revision, "--", *wanted)
    return frozenset(os.fsdecode(told).split("\0"))


def export(folder: Path, tree: str, wanted: Sequence[str], into: Path) -> None:
    """Write files and folders of a tree below a folder: git's own archive, nothing of the work tree."""
    if len(wanted) > _MANY:
        wanted = sorted({path.partition("/")[0] for path in wanted})
    with TemporaryFile() as data:
        run(folder, "archive", "--format=tar", "--end-of-options", tree, *wanted, into=data)
        data.seek(0)
        _unpacked(data, into)


def _unpacked(data: IO[bytes], into: Path) -> None:
    with tarfile.open(fileobj=data) as archive:
        for member in archive:
            path = into / member.name
            if member.isreg():
                content = archive.extractfile(member)
                assert content is not None
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("wb") as out:
                    shutil.copyfileobj(content, out)
                path.chmod(0o755 if member.mode & 0o100 else 0o644)
            elif member.issym():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.symlink_to(member.linkname)
