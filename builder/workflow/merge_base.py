"""What a CI job compares with: the commit where its branch left the one that it will be merged into."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from builder.errors import StackbuildError
from builder.workflow.since_revision import git

_TARGETS = (
    "GITHUB_BASE_REF",
    "CI_MERGE_REQUEST_TARGET_BRANCH_NAME",
    "BITBUCKET_PR_DESTINATION_BRANCH",
    "CHANGE_TARGET",
)
"""Names of variables that hold the branch that a request is for: GitHub's, GitLab's, Bitbucket's, Jenkins'."""


def merge_base(folder: Path, environ: Mapping[str, str]) -> str | None:
    """The revision that a job in CI compares with; None where this is no job in CI, or no repository of git.

    For a request to merge it is the merge base with the branch that the request is for. For a branch without one, with
    the default branch; on that itself, the commit before.

    Raises:
        StackbuildError: git knows too little of the history.
    """
    if environ.get("CI", "").lower() not in {"true", "1"} or not _is_repository(folder):
        return None
    if known := environ.get("CI_MERGE_REQUEST_DIFF_BASE_SHA"):
        return known
    target = next((environ[name] for name in _TARGETS if environ.get(name)), "")
    branch = f"origin/{target}" if target else _default(folder)
    base = git(folder, "merge-base", "--end-of-options", "HEAD", branch).decode().strip() if branch else ""
    return base if base and base != git(folder, "rev-parse", "HEAD").decode().strip() else "HEAD^"


def _is_repository(folder: Path) -> bool:
    return _said(folder, "rev-parse", "--git-dir") != ""


def _default(folder: Path) -> str:
    """`origin/main`, or whatever the remote's HEAD names; "" where nobody said."""
    return _said(folder, "rev-parse", "--abbrev-ref", "origin/HEAD").removesuffix("origin/HEAD")


def _said(folder: Path, *arguments: str) -> str:
    try:
        return git(folder, *arguments).decode().strip()
    except StackbuildError:
        return ""
