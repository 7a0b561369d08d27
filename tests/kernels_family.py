"""A gateway and its kernel images on the family of `image_family.py`, with a wheel of launchers that are made up."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

from builder.digest import Digest
from builder.kinds.pip.lockfile import PipLock, dumps
from builder.lock import Pin
from builder.manifest.model import Target
from builder.workflow import build, lock
from builder.workflow.build import _Silent
from builder.workflow.lock import Wish
from tests.image_family import Site

KERNELS = """
[images.kernel-py]
from = "root"
description = "Python on the team's cluster"
env = { KERNEL_LANGUAGE = "python" }
overlays = ["lab"]

[images.kernel-r]
from = "root"
env = { KERNEL_LANGUAGE = "R" }

[images.gateway]
from = "root"
overlays = ["full"]
expose = [8888]
kernelspecs = [
    { image = "kernel-py", for = "eg-docker", name = "python_docker", display = "Python 3 (in a container)" },
    { image = "kernel-py", for = "eg-kubernetes", name = "python_kubernetes" },
    { image = "kernel-r", for = "gp-kubernetes", name = "r_kubernetes" },
]
"""
LAUNCHERS = {
    "gateway_provisioners/__init__.py": "",
    "gateway_provisioners/kernel-launchers/docker/scripts/launch_docker.py": "print('docker')\n",
    "gateway_provisioners/kernel-launchers/kubernetes/scripts/launch_kubernetes.py": "print('kubernetes')\n",
    "gateway_provisioners/kernel-launchers/kubernetes/scripts/kernel-pod.yaml.j2": "kind: Pod\n",
    "gateway_provisioners/kernel-launchers/operators/scripts/launch_custom_resource.py": "print('operator')\n",
    "gateway_provisioners/kernel-resources/python/logo-64x64.png": "py",
    "gateway_provisioners/kernel-resources/r/kernel.js": "r",
}


def wheel(files: dict[str, str] = LAUNCHERS) -> bytes:
    """A zip archive with these files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), text)
    return out.getvalue()


class Kernels:
    """The family, locked; the kernel images' locks have the wheel, as if they installed it."""

    def __init__(self, site: Site, text: str = KERNELS, data: bytes | None = None) -> None:
        self.site = site
        self.manifest = site.folder / "stacks.toml"
        self.manifest.write_text(self.manifest.read_text() + text)
        self.lock()
        self.launchers(wheel() if data is None else data)

    def lock(self) -> None:
        project = self.site.project()
        lock.lock(project, tuple(project.manifest.targets()), Wish(), lambda _: None)

    def launchers(self, data: bytes, version: str = "0.5.0") -> None:
        """Lock the kernel images to this wheel, which is in the store."""
        project = self.site.project()
        pin = Pin(
            kind="pip",
            name="gateway-provisioners",
            version=version,
            filename=f"gateway_provisioners-{version}-py3-none-any.whl",
            digest=Digest.of(data),
            size=len(data),
            via=("stacks.toml",),
        )
        project.store.source(pin.digest).write_bytes(data)
        for target in project.manifest.targets():
            if target.image.startswith("kernel-"):
                path = project.locks.path(target, "pip")
                path.parent.mkdir(parents=True, exist_ok=True)
                request = (f"{pin.name}=={version}",)
                found = PipLock(request=request, pins=(pin,), python="3.11.2", platform=target.platform, glibc="2.36")
                path.write_text(dumps(found))

    def edit(self, old: str, new: str) -> None:
        """Change the manifest."""
        text = self.manifest.read_text()
        assert old in text
        self.manifest.write_text(text.replace(old, new))

    def target(self, image: str) -> Target:
        return Target(image, "cpu", "linux/amd64")

    def stale(self, *images: str) -> list[str]:
        """The names of the steps that a build of these images for one platform would look at, without the targets."""
        project = self.site.project()
        wanted = [self.target(image) for image in images]
        found = build.stale(project, build.plan(project, wanted), wanted)
        return [action.name.removesuffix("@linux/amd64").removesuffix(":cpu") for action in found]

    def build(self, *images: str) -> list[str]:
        """Build these images for one platform; the names of the steps that were performed, sorted."""
        project = self.site.project()
        wanted = [self.target(image) for image in images]
        watcher = _Performed()
        build.build(project, wanted, jobs=2, watcher=watcher, planned=build.plan(project, wanted))
        return sorted(watcher.names)

    def build_all(self) -> None:
        """Build every image for both platforms."""
        project = self.site.project()
        wanted = tuple(project.manifest.targets())
        build.build(project, wanted, jobs=2, watcher=_Silent(), planned=build.plan(project, wanted))

    def result(self, image: str) -> dict[str, object]:
        project = self.site.project()
        target = self.target(image)
        return build.result(project, build.plan(project, [target]), target)


class _Performed(_Silent):
    def __init__(self) -> None:
        self.names: list[str] = []

    def finished(self, action: object, how: str) -> None:
        name = getattr(action, "name")  # noqa: B009
        self.names.append(f"{name.removesuffix('@linux/amd64').removesuffix(':cpu')}: {how}")


def file_of(site: Site, image: dict[str, object], path: str) -> bytes:
    """The bytes of a file of a built image."""
    import gzip
    import tarfile

    layers = image["layers"]
    assert isinstance(layers, list)
    for layer in reversed(layers):
        blob = site.store.blob(Digest(layer["digest"])).read_bytes()
        with tarfile.open(fileobj=io.BytesIO(gzip.decompress(blob))) as archive:
            if path in archive.getnames():
                stream = archive.extractfile(path)
                assert stream is not None
                return stream.read()
    raise FileNotFoundError(Path(path))
