"""What a target has, in a format that other tools read."""

from __future__ import annotations

from builder.errors import StackbuildError
from builder.exports import Subject, formats
from builder.fetching import Fetcher
from builder.manifest.model import Target
from builder.workflow.project import Project


def export(project: Project, target: Target, form: str) -> str:
    """The text of one target in a format of `exports/`.

    Raises:
        StackbuildError: no such format; the target has nothing for it; a lock is missing.
    """
    known = formats()
    if form not in known:
        raise StackbuildError(f"no such format: {form}", expected=f"one of {', '.join(known)}")
    fetcher = Fetcher(project.manifest, project.store)
    return known[form](Subject(manifest=project.manifest, locks=project.locks, target=target, urls=fetcher.urls))
