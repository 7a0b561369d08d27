"""Children the old way: a Dockerfile on top of an image of ours, built with real tools, keeps the family's contract.

Kubeflow's `jupyter` is built with both tools, which shows that one Dockerfile does for both. Every other family is
built with one of them, as that takes minutes: what a child may do is decided by the image, not by the tool.

Where this machine's mirrors and certificates are is handed in when it builds, and is in no file here.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from builder.built import User
from builder.checks.openshift import STRANGER
from builder.kinds.apt.places import read_host
from builder.kinds.pip.index import default_url
from builder.platforms import NATIVE
from builder.runtimes import Start
from builder.runtimes.native import container
from builder.workflow.foreign import fetch
from tests.e2e import conftest, services
from tests.e2e.project import Site
from tests.e2e.services import docker
from tests.tools import absent, need

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
"""
PIP = "RUN pip install --no-cache-dir humanize==4.12.3 uv\n"
UV = "RUN uv pip install --no-cache --python /opt/venv/bin/python tabulate==0.9.0\n"
LOOK = """
set -eu
tree --version
python -c 'import humanize, tabulate; print(humanize.__file__, tabulate.__file__)'
pip check
"""
"""What is installed is there, in the environment and not in a home that a volume hides."""


@dataclass(frozen=True, kw_only=True)
class Family:
    """How children of an image are written.

    Attributes:
        steps: what its Dockerfile says after apt's part.
        look: what must succeed in a container of the child.
        user: who looks; the image's own user, unless it is said.
    """

    image: str
    contract: str
    steps: str
    look: str
    user: User | None = None


def notebook(image: str) -> Family:
    """Of Kubeflow's servers: the image's user installs."""
    copy = "COPY --chown=1000:0 start.ipynb /tmp_home/jovyan/\nUSER $NB_UID\n"
    return Family(image=image, contract="kubeflow", steps=copy + PIP + UV, look=LOOK)


def kernel(image: str, user: str) -> Family:
    """Of kernel images: root installs, as in Enterprise Gateway's Dockerfiles; what is copied runs in every kernel."""
    copy = f"COPY greeting.py /etc/ipython/startup/\nUSER {user}\n"
    look = LOOK + '[ "$(id -u)" = 1000 ]\nipython -c "print(greeting)" | grep "1.0 kB"\n'
    return Family(image=image, contract="kernel", steps=PIP + UV + copy, look=look)


OPENSHIFT = Family(
    image="s2i-minimal-notebook",
    contract="openshift",
    steps=f'COPY start.ipynb /home/jovyan/work/\n{PIP}{UV}RUN fix-permissions /opt/venv "$HOME"\nUSER 1001\n',
    look=LOOK + "echo x >>start.ipynb\npip uninstall --yes humanize tabulate\n",
    user=STRANGER,
)
"""Root installs, and gives it to group 0; any uid of that group may then change it."""


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """What Dockerfiles are built from but for themselves, and what this machine says about archive and index."""
    folder = tmp_path / "context"
    (folder / "machine").mkdir(parents=True)
    notebook = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (folder / "start.ipynb").write_text(json.dumps(notebook))
    (folder / "start.ipynb").chmod(0o664)
    (folder / "greeting.py").write_text("import humanize\n\ngreeting = humanize.naturalsize(1000)\n")
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


@pytest.mark.parametrize(
    ("family", "build"),
    [
        pytest.param(notebook("jupyter"), with_buildah, id="jupyter-buildah"),
        pytest.param(notebook("jupyter"), with_docker, id="jupyter-docker"),
        pytest.param(notebook("jupyter-elyra"), with_docker, id="elyra-docker"),
        pytest.param(kernel("kernel-py", "jovyan"), with_docker, id="kernel-docker"),
        pytest.param(kernel("gp-kernel-py", "$NB_UID"), with_buildah, id="gp-kernel-buildah"),
        pytest.param(OPENSHIFT, with_buildah, id="openshift-buildah"),
    ],
)
def test_a_child_keeps_the_contract(
    family: Family,
    build: Callable[[Site, str, Path, Path], Path],
    catalogue: Site,
    downloads: Path,
    context: Path,
    tmp_path: Path,
) -> None:
    manifest = catalogue.project().manifest
    if NATIVE not in manifest.platforms(manifest.images[family.image], "cpu"):
        absent(f"{family.image} is not for {NATIVE}")
    conftest.build(catalogue, downloads, family.image)
    (context / "Dockerfile").write_text(DOCKERFILE + family.steps)
    layout = build(catalogue, family.image, context, tmp_path)
    catalogue.run("check", "--image", f"{layout}:child", "--contract", family.contract)
    child = fetch(catalogue.store, f"{layout}:child", layout)
    with container(child, Start(argv=("/bin/sh", "-c", family.look), user=family.user)) as running:
        assert running.wait() == 0, running.output()
        assert running.output().count("/opt/venv/lib") == 2
        assert "No broken requirements" in running.output()


def _do(*argv: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{argv}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
