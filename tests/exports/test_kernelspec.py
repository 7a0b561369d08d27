"""A kernel.json names the image by digest, and starts it with arguments that the launchers take."""

from __future__ import annotations

import json
from itertools import product
from typing import Any

import pytest

from builder.digest import Digest
from builder.errors import StackbuildError
from builder.exports.kernelspec import READERS
from builder.kinds.pip.lockfile import PipLock, dumps
from builder.lock import Pin
from builder.workflow.export import export
from builder.workflow.project import select
from builder.workflow.published import Place
from tests.conftest import Golden
from tests.fake_uploads import FakeUploads
from tests.image_family import Site

KERNELS = """
[images.kernel-py]
from = "root"
description = 'Python "kernels" of {kernel_id}'
env = { KERNEL_LANGUAGE = "Python" }

[images.kernel-tf]
from = "kernel-py"
overlays = ["lab"]

[images.kernel-r]
from = "root"
env = { KERNEL_LANGUAGE = "R" }

[images.kernel-odd]
from = "kernel-r"
env = { KERNEL_LANGUAGE = "julia" }
"""
LAUNCHER_TAKES = {
    "--kernel-id",
    "--port-range",
    "--response-address",
    "--public-key",
    "--spark-context-initialization-mode",
    "--kernel-class-name",
    "--transport-encryption",
}
"""Of gateway_provisioners 0.5.0; Enterprise Gateway's own know all but the last."""


@pytest.fixture
def kernels(site: Site) -> Site:
    manifest = site.folder / "stacks.toml"
    manifest.write_text(manifest.read_text() + KERNELS)
    site.build("kernel-py", "kernel-tf", "kernel-r", "kernel-odd")
    site.push("kernel-py", "kernel-tf", "kernel-r", "kernel-odd")
    return site


def text_of(site: Site, image: str, reader: str) -> str:
    project = site.project()
    return export(project, select(project.manifest, [image]), "kernelspec", reader=reader)


def spec(site: Site, image: str, reader: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text_of(site, image, reader))
    return found


def test_a_kernelspec_for_each_reader(kernels: Site, registry: FakeUploads, golden: Golden) -> None:
    texts = [text_of(kernels, "kernel-py", reader) for reader in READERS]
    golden("kernelspecs.json", "".join(texts).replace(registry.host, "registry.example.com"))


def test_the_image_is_where_its_reader_looks(kernels: Site, registry: FakeUploads) -> None:
    for reader in READERS:
        found = spec(kernels, "kernel-py", reader)
        (key,) = {"process_proxy", "kernel_provisioner"} & set(found["metadata"])
        assert key == ("process_proxy" if reader.startswith("eg-") else "kernel_provisioner")
        name, _, digest = found["metadata"][key]["config"]["image_name"].partition("@")
        assert name == f"{registry.host}/notebooks/kernel-py"
        index = json.loads(registry.manifests["notebooks/kernel-py", digest])
        assert len(index["manifests"]) == 2, "the digest is the index's"


def test_launchers_take_the_arguments(kernels: Site) -> None:
    for image, reader in product(("kernel-py", "kernel-r"), READERS):
        program, launcher, *arguments = spec(kernels, image, reader)["argv"]
        wanted = "launch_docker.py" if reader.endswith("docker") else "launch_kubernetes.py"
        folder = "{resource_dir}" if reader.startswith("eg-") else f"/usr/local/share/jupyter/kernels/{image}"
        assert (program, launcher) == ("python", f"{folder}/scripts/{wanted}"), "only Enterprise Gateway replaces it"
        given = dict(zip(arguments[::2], arguments[1::2], strict=True))
        assert {"--kernel-id", "--port-range", "--response-address", "--public-key"} <= set(given) <= LAUNCHER_TAKES
        assert given["--response-address"] == "{response_address}"
        if reader.startswith("eg-"):
            assert "--transport-encryption" not in given, "Enterprise Gateway would not replace {transport_encryption}"


@pytest.mark.parametrize(("version", "encrypts"), [("6.31.0", False), ("7.2.0", False), ("7.3.0", True)])
def test_a_kernel_encrypts_if_its_lock_has_one_that_can(kernels: Site, version: str, encrypts: bool) -> None:
    """It was said of every Python kernel: one with ipykernel 6 is never understood by a gateway that encrypts."""
    project = kernels.project()
    pin = Pin(
        kind="pip",
        name="ipykernel",
        version=version,
        filename=f"ipykernel-{version}-py3-none-any.whl",
        digest=Digest.of(b""),
        size=1,
    )
    for target in select(project.manifest, ["kernel-py"]):
        path = project.locks.path(target, "pip")
        path.parent.mkdir(parents=True, exist_ok=True)
        asked = (f"ipykernel=={version}",)
        lock = PipLock(request=asked, pins=(pin,), python="3.11.2", platform=target.platform, glibc="2.36")
        path.write_text(dumps(lock))
    for reader in READERS:
        found = spec(kernels, "kernel-py", reader)
        wanted = encrypts and reader.startswith("gp-")
        assert ("supported_encryption" in found["metadata"]) == wanted
        assert ("--transport-encryption" in found["argv"]) == wanted


def test_the_language_is_the_images_or_its_ancestors(kernels: Site) -> None:
    assert spec(kernels, "kernel-tf", "gp-docker")["language"] == "python"
    found = spec(kernels, "kernel-r", "gp-docker")
    assert (found["language"], found["display_name"]) == ("R", "kernel-r")
    assert "debugger" not in found["metadata"], "IRkernel has none"
    assert spec(kernels, "kernel-py", "eg-docker")["display_name"] == 'Python "kernels" of {kernel_id}'


def test_what_is_no_kernel_image_is_refused(kernels: Site) -> None:
    with pytest.raises(StackbuildError, match="no kernel image: kernel-odd") as error:
        spec(kernels, "kernel-odd", "eg-docker")
    assert error.value.got == "KERNEL_LANGUAGE=julia"
    with pytest.raises(StackbuildError, match="no kernel image: lab"):
        spec(kernels, "lab", "eg-docker")


def test_a_reader_must_be_one(kernels: Site) -> None:
    with pytest.raises(StackbuildError, match="kernelspec needs a reader") as error:
        spec(kernels, "kernel-py", "")
    assert error.value.expected == "--for eg-kubernetes, eg-docker, gp-kubernetes or gp-docker"
    with pytest.raises(StackbuildError, match="no reader of kernelspec: yarn"):
        spec(kernels, "kernel-py", "yarn")
    project = kernels.project()
    everything = select(project.manifest, [])
    with pytest.raises(StackbuildError, match="github-matrix is the same for whoever reads it"):
        export(project, everything, "github-matrix", reader="eg-docker")
    with pytest.raises(StackbuildError, match="github-matrix names no published images"):
        export(project, everything, "github-matrix", place=Place(tag="2026.11"))
