"""What a CI job compares with: where its branch left the one that it will be merged into, or what was built before."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from builder.workflow import git

_TARGETS = (
    "GITHUB_BASE_REF",
    "CI_MERGE_REQUEST_TARGET_BRANCH_NAME",
    "BITBUCKET_PR_DESTINATION_BRANCH",
    "CHANGE_TARGET",
)
"""Names of variables that hold the branch that a request is for: GitHub's, GitLab's, Bitbucket's, Jenkins'."""


def merge_base(folder: Path, environ: Mapping[str, str]) -> str | None:
    """The revision that a job in CI compares with; None where this is no such job, or nobody says what to compare with.

    For a request to merge it is the merge base with the branch that the request is for; for a branch without one, that
    with the default branch; on the default branch itself, what it was before the push. It is never guessed: what lies
    between a guess and the truth would not be built.

    Raises:
        StackbuildError: git does not have what the job names: it knows too little of the history.
    """
    if environ.get("CI", "").lower() not in {"true", "1"} or not git.commit_of(folder, "HEAD"):
        return None
    if known := environ.get("CI_MERGE_REQUEST_DIFF_BASE_SHA"):
        return known
    if target := next((environ[name] for name in _TARGETS if environ.get(name)), ""):
        return _left(folder, f"origin/{target}")
    event = _event(environ)
    default = environ.get("CI_DEFAULT_BRANCH") or _text(event.get("repository"), "default_branch")
    branch = f"origin/{default}" if default else "origin/HEAD"
    head = git.commit_of(folder, "HEAD")
    base = _left(folder, branch) if default or git.commit_of(folder, branch) else ""
    if base and base != head:
        return base
    before = environ.get("CI_COMMIT_BEFORE_SHA") or _text(event, "before")
    return git.commit_of(folder, before) or None if before.strip("0") else None


def _left(folder: Path, branch: str) -> str:
    return git.run(folder, "merge-base", "--end-of-options", "HEAD", branch).decode().strip()


def _event(environ: Mapping[str, str]) -> dict[str, Any]:
    """What GitHub says of the event that the job is for."""
    try:
        found = json.loads(Path(environ["GITHUB_EVENT_PATH"]).read_bytes())
    except (KeyError, OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _text(table: object, name: str) -> str:
    found = table.get(name) if isinstance(table, dict) else None
    return found if isinstance(found, str) else ""
