"""Children the old way: a Dockerfile on top of an image of ours, built with real tools, keeps the family's contract.

Where this machine's mirrors and certificates are is handed in when it builds, and is in no file here.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from builder.kinds.apt.places import read_host
from builder.kinds.pip.index import default_url
from builder.runtimes import Start
from builder.runtimes.native import container
from builder.workflow.foreign import fetch
from tests.e2e import services
from tests.e2e.project import Site
from tests.e2e.services import docker
from tests.tools import need

pytestmark = pytest.mark.catalogue  # Minutes each: layers are unpacked, packed and started several times.

DOCKERFILE = """
FROM base
ARG PIP_INDEX_URL
ARG UV_DEFAULT_INDEX
ARG PIP_CERT
ARG SSL_CERT_FILE
USER root
COPY machine /tmp/machine
COPY machine/*.list /etc/apt/sources.list.d/
RUN apt-get update && apt-get install --yes --no-install-recommends tree && rm -rf /var/lib/apt/lists/*
COPY --chown=1000:0 start.ipynb /tmp_home/jovyan/
USER $NB_UID
RUN pip install --no-cache-dir humanize==4.12.3 uv
RUN uv pip install --no-cache --python /opt/venv/bin/python tabulate==0.9.0
"""
LOOK = """
set -eu
tree --version
python -c 'import humanize, tabulate; print(humanize.__file__, tabulate.__file__)'
pip check
"""
"""As the image's user: what is installed is there, in the environment and not in a home that a volume hides."""


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """What the Dockerfile is built from, and what this machine says about archive and index."""
    folder = tmp_path / "context"
    (folder / "machine").mkdir(parents=True)
    (folder / "Dockerfile").write_text(DOCKERFILE)
    notebook = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (folder / "start.ipynb").write_text(json.dumps(notebook))
    (folder / "start.ipynb").chmod(0o664)
    uris = [one.uri for one in read_host(os.environ).entries if "bookworm" in one.suites]
    lines = [f"deb {uri} bookworm main\n" for uri in uris]
    (folder / "machine/bookworm.list").write_text("".join(lines))
    if authorities := os.environ.get("SSL_CERT_FILE"):
        shutil.copyfile(authorities, folder / "machine/authorities.pem")
    return folder


def arguments(context: Path) -> Iterator[str]:
    """Options of a build: this machine's network, index and certificates."""
    index = default_url(os.environ)
    given = {"PIP_INDEX_URL": index, "UV_DEFAULT_INDEX": index}
    if (context / "machine/authorities.pem").exists():
        given |= dict.fromkeys(("PIP_CERT", "SSL_CERT_FILE"), "/tmp/machine/authorities.pem")
    yield "--network=host"
    for name, value in given.items():
        yield f"--build-arg={name}={value}"


def with_buildah(site: Site, image: str, context: Path, folder: Path) -> Path:
    """Build the child; where its OCI layout is."""
    need("buildah")
    layout = folder / "layout"
    ours = ["buildah", f"--root={folder / 'root'}", f"--runroot={folder / 'run'}", "--storage-driver=overlay"]
    base = f"--from=oci:{site.store_path / 'images'}:{image}"
    try:
        _do(*ours, "bud", "--isolation=chroot", base, *arguments(context), "--tag=child", str(context))
        _do(*ours, "push", "--disable-compression", "child", f"oci:{layout}:child")
    finally:
        subprocess.run([*ours, "rm", "--all"], capture_output=True, check=False)
        subprocess.run([*ours, "rmi", "--all", "--force"], capture_output=True, check=False)
        subprocess.run(["umount", str(folder / "root/overlay")], capture_output=True, check=False)
    return layout


def with_docker(site: Site, image: str, context: Path, folder: Path) -> Path:
    """Build the child in a daemon of its own; where its OCI layout is."""
    need("skopeo")
    with services.daemon(folder / "docker") as host:
        site.run("load", image, "--tag", "base", env={"DOCKER_HOST": host})
        name = docker(host, "images", "--format", "{{.Repository}}:{{.Tag}}").split()[0]
        docker(host, "tag", name, "base:latest")
        docker(host, "build", *arguments(context), "--tag=child", str(context))
        _do(
            "skopeo",
            "copy",
            f"--src-daemon-host={host}",
            "docker-daemon:child:latest",
            f"oci:{folder / 'layout'}:child",
        )
    return folder / "layout"


@pytest.mark.parametrize("build", [with_buildah, with_docker])
@pytest.mark.parametrize(("image", "contract"), [("jupyter", "kubeflow")])
def test_a_child_keeps_the_contract(
    build: Callable[[Site, str, Path, Path], Path],
    image: str,
    contract: str,
    catalogue: Site,
    context: Path,
    tmp_path: Path,
) -> None:
    layout = build(catalogue, image, context, tmp_path)
    said = catalogue.run("check", "--image", f"{layout}:child", "--contract", contract)
    assert said.out.count("kept") == 6
    child = fetch(catalogue.store, f"{layout}:child", layout)
    with container(child, Start(argv=("/bin/sh", "-c", LOOK))) as running:
        assert running.wait() == 0, running.output()
        assert running.output().count("/opt/venv/lib") == 2
        assert "No broken requirements" in running.output()


def _do(*argv: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{argv}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
