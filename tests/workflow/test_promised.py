"""What the project's own manifest and locks promise, and those of the example with variants."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.checks import Promised
from builder.locks import Locks
from builder.manifest.model import Target
from builder.manifest.read import read
from builder.store import Store
from builder.workflow.check import ALWAYS, contracts
from builder.workflow.project import Project
from builder.workflow.promised import promised

ROOT = Path(__file__).parents[2]


def project(folder: Path, store: Path) -> Project:
    return Project(manifest=read(folder / "stacks.toml"), locks=Locks(folder / "locks"), store=Store.open(store))


def of(folder: Path, store: Path, target: str) -> Promised:
    return promised(project(folder, store), Target.parse(target))


def test_an_image_without_python_packages(tmp_path: Path) -> None:
    found = of(ROOT, tmp_path, "base:cpu@linux/amd64")
    assert (found.environments, dict(found.conda), found.cuda, found.foreign) == ((), {}, False, False)
    assert {"python3", "s6", "bash"} <= set(found.apt)


def test_what_is_inherited_counts(tmp_path: Path) -> None:
    found = of(ROOT, tmp_path, "jupyter-tensorflow:cuda@linux/amd64")
    (one,) = found.environments
    assert one.prefix == "/opt/venv"
    assert one.asked == ("jupyterlab", "notebook", "pip", "tensorflow")
    assert (one.pins["jupyterlab"], one.pins["tensorflow"]) == ("4.5.7", "2.21.0")
    assert one.wheels == set(one.pins)
    assert found.cuda
    assert not of(ROOT, tmp_path, "jupyter-tensorflow:cpu@linux/amd64").cuda
    assert found.apt == of(ROOT, tmp_path, "base:cpu@linux/amd64").apt


@pytest.mark.parametrize("variant", ["cpu", "cuda", "gaudi"])
def test_a_base_with_a_python_and_conda(tmp_path: Path, variant: str) -> None:
    found = of(ROOT / "examples/variants", tmp_path, f"notebook:{variant}@linux/amd64")
    (one,) = found.environments
    assert one.prefix == "/opt/conda"
    assert {"greeting", "tensors"} <= one.wheels
    assert one.pins["tensors"] == ("2.9" if variant == "gaudi" else "3.0")
    assert {"greeting", "tensors"} <= set(one.asked) <= {"greeting", "tensors", "theme"}
    assert found.conda["/opt/conda"]["theme"].startswith("1.0 ")
    assert found.foreign
    assert found.cuda == (variant == "cuda")


def test_contents_is_a_contract_of_every_image(tmp_path: Path) -> None:
    here = project(ROOT, tmp_path)
    assert ALWAYS == ("contents",)
    assert contracts(here, Target.parse("base:cpu@linux/amd64")) == ("contents",)
    assert contracts(here, Target.parse("jupyter:cpu@linux/amd64")) == ("kubeflow", "contents")
