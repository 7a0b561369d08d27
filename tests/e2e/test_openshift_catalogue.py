"""OpenShift's stacks as the catalogue has them: their contracts, what they are for, and S2I as Docker does it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

from builder.built import Image
from builder.checks._probe import MODULE, sources
from builder.checks.openshift import STRANGER
from builder.platforms import NATIVE
from builder.runtimes import Start
from builder.runtimes.native import ready
from tests.e2e.conftest import build
from tests.e2e.project import Site
from tests.e2e.services import Registry, docker
from tests.tools import need

pytestmark = pytest.mark.catalogue
IMAGES = ("s2i-base-notebook", "s2i-minimal-notebook", "s2i-scipy-notebook", "s2i-r-notebook", "s2i-pyspark-notebook")
SPARK = """
from pyspark.sql import SparkSession
session = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
print("sum", session.range(101).selectExpr("sum(id)").collect()[0][0])
"""
CELL = 'suppressMessages({library(tidyverse); library(caret); library(RODBC)}); cat("sum", sum(0:100))'


@pytest.fixture(scope="module")
def site(catalogue: Site, downloads: Path) -> Site:
    build(catalogue, downloads, *IMAGES)
    return catalogue


def inside(site: Site, image: str, script: str) -> str:
    """What a script says as a random uid, in the environment that notebooks have."""
    # Java asks for the address of the host's name, which engines write into /etc/hosts.
    start = Start(user=STRANGER, argv=("bash", "-c", script), env={"SPARK_LOCAL_IP": "127.0.0.1"})
    with ready(Image(site.store, site.result(image))) as container, container(start) as running:
        running.wait(240)
        return running.output()


@pytest.mark.parametrize("image", IMAGES)
def test_it_keeps_its_contracts(site: Site, image: str) -> None:
    said = site.run("check", image, "--json")
    rows = json.loads(said.out)
    assert {row["contract"] for row in rows} == {"openshift", "contents"}
    assert [row for row in rows if row["problem"]] == []


def test_spark_runs_a_job(site: Site) -> None:
    assert "sum 5050" in inside(site, "s2i-pyspark-notebook", f"cd /tmp && python3 - <<'END'\n{SPARK}\nEND")


def test_r_runs_a_cell(site: Site) -> None:
    cell: dict[str, object] = {
        "cell_type": "code",
        "id": "a",
        "execution_count": None,
        "metadata": {},
        "outputs": [],
        "source": CELL,
    }
    kernel = {"kernelspec": {"name": "ir", "display_name": "R", "language": "R"}}
    notebook = json.dumps({"cells": [cell], "metadata": kernel, "nbformat": 4, "nbformat_minor": 5})
    script = f"cd /tmp && cat >a.ipynb <<'END'\n{notebook}\nEND\njupyter execute --inplace a.ipynb && cat a.ipynb"
    assert '"sum 5050"' in inside(site, "s2i-r-notebook", script)


def test_git_and_tex_have_their_files(site: Site) -> None:
    """Their folders are made by dpkg, which once hid what the image's own layers have in them."""
    script = """cd /tmp && git init --quiet a && git -C a fetch https://127.0.0.1:9/x 2>&1; ls /etc/ssh/ssh_config
    printf '%s' '\\documentclass{article}\\begin{document}x\\end{document}' >a.tex
    xelatex a.tex >a.out && ls a.pdf"""
    said = inside(site, "s2i-minimal-notebook", script).splitlines()
    assert "remote-https" not in said[0]
    assert said[-2:] == ["/etc/ssh/ssh_config", "a.pdf"]


def test_package_layers_of_kubeflows_jupyter_are_shared(site: Site, downloads: Path) -> None:
    build(site, downloads, "jupyter-openshift")
    theirs, ours = site.result("jupyter")["layers"], site.result("jupyter-openshift")["layers"]
    assert [layer["digest"] for layer in ours] == [layer["digest"] for layer in theirs]
    config = Image(site.store, site.result("jupyter-openshift")).config
    assert config["User"] == "1001"


def test_s2i_as_docker_does_it(site: Site, daemon: str, tmp_path: Path) -> None:
    """Assembled by the image's user, committed, and run by another uid, without a network."""
    need("docker")
    loaded = site.run("load", "s2i-base-notebook", "--tag", "builder", env={"DOCKER_HOST": daemon})
    builder = loaded.out.split()[-1]
    folder = tmp_path / "src"
    folder.mkdir()
    names = sources(folder)
    made = docker(daemon, "create", "--network=none", builder, "/usr/libexec/s2i/assemble").strip()
    docker(daemon, "cp", f"{folder}/.", f"{made}:/tmp/src")
    said = docker(daemon, "start", "--attach", made)
    assert "assemble: done" in said
    docker(daemon, "commit", "--change", 'CMD ["/usr/libexec/s2i/run"]', made, "lectures:1")
    options = ("--detach", "--network=none", "--user=54321:0", "--security-opt=no-new-privileges", "--env=PASSWORD=x")
    running = docker(daemon, "run", *options, "lectures:1").strip()
    script = f"import {MODULE}, os; print(sorted(os.listdir()), os.access('.', os.W_OK))"
    found = docker(daemon, "exec", running, "python3", "-c", script)
    assert "first.ipynb" in found
    assert "True" in found
    ask = "import urllib.request as r; print(r.urlopen(r.Request('http://127.0.0.1:8888/api')).status)"
    for _ in range(240):
        done = subprocess.run(
            ["docker", "--host", daemon, "exec", running, "python3", "-c", ask],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == 0:
            break
    assert done.stdout == "200\n", docker(daemon, "logs", running)
    assert names[0] == "first.ipynb"


def test_the_template_takes_it(site: Site, registry: Registry) -> None:
    """Pushed, and named by its digest in the objects that OpenShift makes."""
    host = registry.host
    site.run("push", f"s2i-base-notebook@{NATIVE}", "--to", f"{host}/{{image}}", "--partial", "--tag", "1")
    said = site.run("export", "openshift-template", "s2i-base-notebook", "--to", f"{host}/{{image}}", "--tag", "1")
    built = next(one for one in yaml.safe_load(said.out)["objects"] if one["kind"] == "BuildConfig")
    name = built["spec"]["strategy"]["sourceStrategy"]["from"]["name"]
    assert name.startswith(f"{host}/s2i-base-notebook@sha256:")
    assert "containerPort: 8888" in said.out
