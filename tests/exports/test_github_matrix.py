"""A matrix of GitHub Actions: one line of JSON, a job for each target, parents first, no more than there may be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from builder.errors import StackbuildError
from builder.locks import Locks
from builder.manifest.read import loads
from builder.store import Store
from builder.workflow.export import export
from builder.workflow.project import Project, select
from tests.exports.notebooks import IMAGES
from tests.image_family import MANIFEST


def project(folder: Path, more: str = "") -> Project:
    text = MANIFEST.replace("HOST", "registry.example.com") + more
    manifest = loads(text, folder / "stacks.toml")
    return Project(manifest=manifest, locks=Locks(folder / "locks"), store=Store.open(folder / "store"))


def matrix(found: Project, *texts: str) -> str:
    return export(found, select(found.manifest, texts), "github-matrix")


def test_a_job_for_each_target(tmp_path: Path) -> None:
    text = matrix(project(tmp_path, IMAGES))
    assert text.count("\n") == 1 and text.endswith("\n"), "$GITHUB_OUTPUT takes one line"
    jobs = json.loads(text)["include"]
    assert [one["target"] for one in jobs] == [str(one) for one in project(tmp_path, IMAGES).manifest.targets()]
    assert jobs[0] == {
        "target": "root:cpu@linux/amd64",
        "image": "root",
        "variant": "cpu",
        "platform": "linux/amd64",
        "runs-on": "ubuntu-24.04",
    }
    assert jobs[1]["runs-on"] == "ubuntu-24.04-arm"
    assert [one["platform"] for one in jobs if one["variant"] == "cuda"] == ["linux/amd64"]


def test_targets_choose_jobs_in_the_manifests_order(tmp_path: Path) -> None:
    jobs = json.loads(matrix(project(tmp_path), "full@linux/arm64", "root@linux/arm64"))["include"]
    assert [one["target"] for one in jobs] == ["root:cpu@linux/arm64", "full:cpu@linux/arm64"]


def test_github_takes_256_jobs(tmp_path: Path) -> None:
    more = "".join(f'[images.i{number}]\nfrom = "root"\n' for number in range(125))
    assert len(json.loads(matrix(project(tmp_path, more)))["include"]) == 256
    with pytest.raises(StackbuildError, match="too many jobs for one matrix: 258") as error:
        matrix(project(tmp_path, more + '[images.last]\nfrom = "root"\n'))
    assert "@linux/amd64" in error.value.next_step


def test_mermaid_is_a_format_too(tmp_path: Path) -> None:
    found = project(tmp_path)
    chart = export(found, select(found.manifest, ["lab"]), "mermaid")
    assert "root --> lab" in chart and "full" not in chart
