"""The workflows in .github/: least rights, nothing run from what a stranger wrote, and commands that exist."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

SECRET = re.compile(r"secrets\.|github\.token|GITHUB_TOKEN")
"""What a step has to be given to push, or to comment."""
OUR_OWN = re.compile(r"stackbuild (lock|bump|diff|plan|build|check)\b")
"""Commands that need no secret, and run or read what somebody else wrote."""
ROOT = Path(__file__).parent.parent
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


def test_zizmor_finds_nothing() -> None:
    command = [
        str(Path(sys.executable).with_name("zizmor")),
        "--offline",
        "--no-progress",
        str(ROOT / ".github/workflows"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "No findings to report" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_action_is_pinned_by_digest(path: Path) -> None:
    uses = re.findall(r"uses: (\S+)(.*)", path.read_text())
    assert uses and all(re.fullmatch(r"[^@]+@[0-9a-f]{40}", one) and "# v" in rest for one, rest in uses)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_command_and_option_exists(path: Path) -> None:
    found = re.findall(r"scripts/stackbuild ([a-z]+)([^|>\n]*)", path.read_text())
    assert found
    for name, rest in found:
        command = [sys.executable, "-P", "-m", "builder.cli", name, "--help"]
        told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        assert all(option in told for option in re.findall(r"--[a-z-]+", rest)), (name, rest)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_what_runs_a_strangers_code_has_no_secret(path: Path) -> None:
    text = path.read_text()
    document = yaml.safe_load(text)
    events = document[True]  # `on`, as YAML 1.1 has it.
    assert "pull_request_target" not in str(events) and "workflow_run" not in str(events)
    assert document["permissions"] == {}
    if "pull_request" in events:
        assert "secrets." not in text
        assert all(set(job["permissions"].values()) == {"read"} for job in document["jobs"].values())


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_pipe_fails_with_any_of_its_commands(path: Path) -> None:
    """GitHub runs `shell: bash` with pipefail, and a shell that nobody names without it."""
    assert yaml.safe_load(path.read_text())["defaults"] == {"run": {"shell": "bash"}}


@pytest.mark.parametrize("last", ["HEAD", "", "0" * 40])
def test_the_main_branch_is_planned_since_the_last_good_run(last: str, tmp_path: Path) -> None:
    """It was planned since the push before, though that one's run may have failed or been dropped: nobody built it."""
    steps = yaml.safe_load((ROOT / ".github/workflows/main.yml").read_text())["jobs"]["plan"]["steps"]
    (script,) = (step["run"] for step in steps if step.get("id") == "good")
    git = ["git", "-C", str(tmp_path), "-c", "user.name=t", "-c", "user.email=t@example.com"]
    for words in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "one"]):
        subprocess.run([*git, *words], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    gh = tmp_path / "bin/gh"
    gh.parent.mkdir()
    gh.write_text(f"#!/bin/sh\necho {head if last == 'HEAD' else last}\n")
    gh.chmod(0o755)
    environ = {"PATH": f"{gh.parent}:{os.environ['PATH']}", "GITHUB_OUTPUT": "output", "GITHUB_REF_NAME": "main"}
    subprocess.run(["bash", "-eo", "pipefail", "-c", script], cwd=tmp_path, env=environ, check=True)
    assert (tmp_path / "output").read_text() == f"commit={head if last == 'HEAD' else ''}\n"
    (plan,) = (step for step in steps if step.get("id") == "plan")
    assert plan["env"]["SINCE"] == "${{ steps.good.outputs.commit }}" and '--since "$SINCE"' in plan["run"]


USERS = {
    "REGISTRY_PASSWORD": "docker login ",
    "RELOCK_TOKEN": "gh ",
    "github.token": "gh ",
    "SIGNING_KEY": "stackbuild sign ",
}
"""What a step that is given a secret has to run."""


def idle(document: dict[str, Any]) -> list[str]:
    """Secrets that steps are given for nothing."""
    steps = [step for job in document["jobs"].values() for step in job["steps"]]
    given = [(one, step) for step in steps for one in re.findall(r"secrets\.(\w+)|(github\.token)", str(step))]
    return [name for names, step in given for name in filter(None, names) if USERS[name] not in step["run"]]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_no_step_is_given_a_secret_for_nothing(path: Path) -> None:
    """The step that signs keyless had a private key in its environment, for cosign to see."""
    assert idle(yaml.safe_load(path.read_text())) == []


def test_a_secret_for_nothing_is_found() -> None:
    step = {"run": "xargs cosign sign", "env": {"KEY": "${{ secrets.REGISTRY_PASSWORD || github.token }}"}}
    assert idle({"jobs": {"a": {"steps": [step]}}}) == ["REGISTRY_PASSWORD", "github.token"]


def exposed(document: dict[str, Any]) -> list[str]:
    """Where more than the steps that need it see a secret: the workflow, jobs, steps that run commands of ours."""
    found = ["workflow"] if SECRET.search(str(document.get("env", ""))) else []
    for name, job in document["jobs"].items():
        everywhere = {key: value for key, value in job.items() if key != "steps"}
        found += [name] if SECRET.search(str(everywhere)) else []
        for number, step in enumerate(job["steps"]):
            if SECRET.search(str(step)) and OUR_OWN.search(step.get("run", "")):
                found.append(f"{name}.{number}")
    return found


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_secret_is_seen_by_the_steps_that_need_it_alone(path: Path) -> None:
    assert exposed(yaml.safe_load(path.read_text())) == []


def test_a_secret_of_a_whole_job_is_found() -> None:
    token = {"GH_TOKEN": "${{ secrets.TOKEN || github.token }}"}
    lock, push = {"run": "scripts/stackbuild lock"}, {"run": "git push", "env": token}
    assert exposed({"jobs": {"a": {"steps": [lock, push]}}}) == []
    assert exposed({"jobs": {"a": {"env": token, "steps": [lock, push]}}}) == ["a"]
    assert exposed({"env": token, "jobs": {"a": {"steps": [{**lock, "env": token}]}}}) == ["workflow", "a.0"]
    assert exposed({"jobs": {"a": {"container": {"password": "${{ secrets.X }}"}, "steps": []}}}) == ["a"]
