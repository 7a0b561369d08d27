"""What a CI job compares with, in real repositories."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from builder.errors import StackbuildError
from builder.workflow.merge_base import merge_base

CI = {"CI": "true"}


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "init.defaultBranch=main"]
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(folder: Path, name: str) -> str:
    (folder / name).write_text(name)
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", name)
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """main: one, two; release: from one; and a clone on a branch from main's first commit with two of its own."""
    origin = tmp_path / "origin"
    origin.mkdir()
    git(origin, "init", "-q")
    commit(origin, "one")
    git(origin, "branch", "release")
    commit(origin, "two")
    git(tmp_path, "clone", "-q", str(origin), "clone")
    clone = tmp_path / "clone"
    git(clone, "checkout", "-q", "-b", "topic", "HEAD^")
    commit(clone, "three")
    commit(clone, "four")
    return clone


def test_outside_of_ci_or_git_there_is_none(clone: Path, tmp_path: Path) -> None:
    assert merge_base(clone, {}) is None
    assert merge_base(clone, {"CI": "false"}) is None
    (tmp_path / "plain").mkdir()
    assert merge_base(tmp_path / "plain", CI) is None


@pytest.mark.parametrize("variable", ["GITHUB_BASE_REF", "CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "CHANGE_TARGET"])
def test_a_request_names_its_target(clone: Path, variable: str) -> None:
    git(clone, "merge", "-q", "origin/main")
    release = git(clone, "rev-parse", "origin/release")
    assert merge_base(clone, {**CI, variable: "release"}) == release
    assert merge_base(clone, {**CI, variable: "main"}) == git(clone, "rev-parse", "origin/main")


def test_gitlab_says_it_itself(clone: Path) -> None:
    assert merge_base(clone, {**CI, "CI_MERGE_REQUEST_DIFF_BASE_SHA": "abc"}) == "abc"


def test_a_branch_without_a_request_leaves_the_default_branch(clone: Path) -> None:
    assert merge_base(clone, CI) == git(clone, "rev-parse", "origin/release"), "where it left main"


def test_the_default_branch_itself_is_compared_with_what_it_was(clone: Path, tmp_path: Path) -> None:
    """A push may have brought several commits, so nothing is guessed where nobody says what was before."""
    git(clone, "checkout", "-q", "main")
    before = git(clone, "rev-parse", "origin/release")
    assert merge_base(clone, CI) is None
    assert merge_base(clone, {**CI, "CI_COMMIT_BEFORE_SHA": before}) == before
    assert merge_base(clone, {**CI, "CI_COMMIT_BEFORE_SHA": "0" * 40}) is None, "a new branch"
    assert merge_base(clone, {**CI, "CI_COMMIT_BEFORE_SHA": "1" * 40}) is None, "a push by force"
    event = tmp_path / "event.json"
    event.write_text(json.dumps({"before": before, "repository": {"default_branch": "main"}}))
    assert merge_base(clone, {**CI, "GITHUB_EVENT_PATH": str(event)}) == before
    event.write_text("[]")
    assert merge_base(clone, {**CI, "GITHUB_EVENT_PATH": str(event)}) is None


def test_a_checkout_that_knows_no_default_branch(clone: Path, tmp_path: Path) -> None:
    """As CI makes it: git init and git fetch. It was compared with the commit before, and missed the first of two."""
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    git(checkout, "init", "-q")
    git(checkout, "remote", "add", "origin", str(tmp_path / "origin"))
    git(clone, "push", "-q", "origin", "topic")
    git(checkout, "fetch", "-q", "origin")
    git(checkout, "checkout", "-q", "--detach", "origin/topic")
    left = git(clone, "rev-parse", "origin/release")
    assert merge_base(checkout, CI) is None
    assert merge_base(checkout, {**CI, "CI_DEFAULT_BRANCH": "main"}) == left
    event = tmp_path / "event.json"
    event.write_text(json.dumps({"before": git(clone, "rev-parse", "HEAD^"), "repository": {"default_branch": "main"}}))
    assert merge_base(checkout, {**CI, "GITHUB_EVENT_PATH": str(event)}) == left


def test_a_target_that_was_not_fetched(clone: Path) -> None:
    with pytest.raises(StackbuildError, match="git failed") as caught:
        merge_base(clone, {**CI, "GITHUB_BASE_REF": "elsewhere"})
    assert caught.value.next_step == "name a revision that git knows; in CI, fetch enough history"
