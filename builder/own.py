"""The project's own files lie where their paths say: no link stands on the way to one.

What links lead to is not in a review, a build does not look there for changes, and a stranger's branch could have a
file of the machine read into an image, or written over.
"""

from __future__ import annotations

from pathlib import Path

from builder.errors import StackbuildError


def own(folder: Path, path: str, what: str, where: str = "") -> Path:
    """Where a file or folder of the project lies, or would lie.

    Args:
        folder: the project's; links above it are the user's own affair.
        path: relative to it, safe.
        what: to call it in an error.

    Raises:
        StackbuildError: it is a link, or is reached through one.
    """
    found = folder
    for part in path.split("/"):
        found /= part
        if found.is_symlink():
            raise StackbuildError(
                f"{what} is reached through a link: {found.relative_to(folder)}",
                where=where,
                next_step="put there what it leads to",
            )
    return found
