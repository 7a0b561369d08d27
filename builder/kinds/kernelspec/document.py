"""A kernel image as a `kernel.json`, by which a gateway or a lab starts kernels in containers of it.

Enterprise Gateway reads `metadata.process_proxy`, Gateway Provisioners `metadata.kernel_provisioner`; both set
`KERNEL_IMAGE` from the `image_name` there, and run `argv`, a launcher that asks Kubernetes or Docker for the container.
The launcher lies beside kernel.json, in `scripts/`, where `jupyter k8s-spec install` and `jupyter docker-spec install`
put it. Its arguments are the plain ones: Gateway Provisioners' launchers know no others, and Enterprise Gateway's take
them since 3.0, where `--RemoteProcessProxy.*` are deprecated.

Enterprise Gateway knows `{resource_dir}`, the folder of kernel.json. Gateway Provisioners 0.5.0 hands it on as it is,
so there the launcher is named by its whole path, as by its own `jupyter docker-spec install`.

Sources: gateway_provisioners 0.5.0, `kernel-specs/container_*`, `kernel-launchers/docker` and `cli/`; Enterprise
Gateway 3.3, `services/processproxies`; jupyter_client, "Kernel specs", for `{resource_dir}`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from builder.digest import Json
from builder.errors import StackbuildError
from builder.kinds.kernelspec import READERS
from builder.lock import Pin
from builder.manifest.model import Manifest, Target
from builder.manifest.settings import PLAIN

FOLDER: Final = "/usr/local/share/jupyter/kernels"
"""Where kernelspecs lie in images."""
_PROXIES: Final = "enterprise_gateway.services.processproxies"
_CLASSES: Final = {
    "eg-kubernetes": f"{_PROXIES}.k8s.KubernetesProcessProxy",
    "eg-docker": f"{_PROXIES}.docker_swarm.DockerProcessProxy",
}
_PROVISIONERS: Final = {"gp-kubernetes": "kubernetes-provisioner", "gp-docker": "docker-provisioner"}
assert {*_CLASSES, *_PROVISIONERS} == set(READERS)
_LANGUAGES: Final = {"python": "python", "r": "R", "scala": "scala"}
"""As kernelspecs write them, by what an image's KERNEL_LANGUAGE says in lower case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """A kernel image for one reader.

    Attributes:
        reader: one of `READERS`.
        language: as kernelspecs write it.
        reference: HOST/PATH@DIGEST of the image.
        name: of the kernelspec's folder, in `FOLDER`.
        encrypts: whether its kernel knows CurveZMQ.
    """

    reader: str
    language: str
    display: str
    reference: str
    name: str
    encrypts: bool = False


def dumps(spec: Spec) -> str:
    """The text of kernel.json."""
    found: Json = {
        "language": spec.language,
        "display_name": spec.display,
        "metadata": _metadata(spec),
        "env": _env(spec.reader),
        "argv": _argv(spec),
    }
    return json.dumps(found, indent=2) + "\n"


def language(manifest: Manifest, target: Target) -> str:
    """What the image's KERNEL_LANGUAGE says, by which its bootstrap-kernel.sh chooses a launcher too.

    Raises:
        StackbuildError: the image is no kernel image.
    """
    said = ""
    for image in manifest.family(target):
        said = image.env.get("KERNEL_LANGUAGE", said)
    if said.lower() not in _LANGUAGES:
        raise StackbuildError(
            f"no kernel image: {target.image}",
            where=f"images.{target.image}.env",
            expected=f"KERNEL_LANGUAGE as one of {', '.join(_LANGUAGES)}",
            got=f"KERNEL_LANGUAGE={said}" if said else "no KERNEL_LANGUAGE",
        )
    return _LANGUAGES[said.lower()]


def display(manifest: Manifest, target: Target) -> str:
    """What users are shown unless the manifest says otherwise: the image's description, else its name."""
    return manifest.images[target.image].description or called(target)


def called(target: Target) -> str:
    """The usual name of a target's kernelspec."""
    return target.image if target.variant == PLAIN else f"{target.image}-{target.variant}"


def encrypts(pins: Iterable[Pin]) -> bool:
    """Whether the kernel that an image is locked to knows CurveZMQ: ipykernel does since 7.3.

    An older one would listen in clear where the launcher has told its gateway to encrypt, and never be understood.
    """
    from builder.kinds.pip.requirement import satisfies  # Imports packaging, which planning need not.

    return any(pin.name == "ipykernel" and satisfies(pin.version, "ipykernel>=7.3") for pin in pins)


def launcher(reader: str) -> str:
    """The file name of the program that asks for the container."""
    return "launch_kubernetes.py" if reader.endswith("kubernetes") else "launch_docker.py"


def _metadata(spec: Spec) -> Json:
    """Debugging is what ipykernel alone has; only Gateway Provisioners asks for encryption."""
    config = {"image_name": spec.reference}
    found: dict[str, Json] = {"debugger": True} if spec.language == "python" else {}
    if spec.reader in _CLASSES:
        return {**found, "process_proxy": {"class_name": _CLASSES[spec.reader], "config": config}}
    if spec.encrypts:
        found["supported_encryption"] = ["curve"]
    return {**found, "kernel_provisioner": {"provisioner_name": _PROVISIONERS[spec.reader], "config": config}}


def _env(reader: str) -> Json:
    """What Gateway Provisioners' launcher for Docker is told by its own provisioner, and not by Enterprise Gateway.

    No Swarm service is wanted: EG_DOCKER_MODE, which that sets, is not read. And a PATH, without which the launcher
    fails: it takes it out again so that the image's own counts. Enterprise Gateway hands on none of its variables.
    """
    return {"GP_DOCKER_MODE": "docker", "PATH": "/usr/bin:/bin"} if reader == "eg-docker" else {}


def _argv(spec: Spec) -> list[Json]:
    """The launcher; what stands in braces is replaced by who runs it."""
    folder = "{resource_dir}" if spec.reader in _CLASSES else f"{FOLDER}/{spec.name}"
    given = ["kernel-id", "port-range", "response-address", "public-key"]
    found: list[Json] = ["python", f"{folder}/scripts/{launcher(spec.reader)}"]
    if spec.encrypts and spec.reader in _PROVISIONERS:
        given.append("transport-encryption")
    for one in given:
        found += [f"--{one}", f"{{{one.replace('-', '_')}}}"]
    if spec.language == "python":
        found += ["--kernel-class-name", "ipykernel.ipkernel.IPythonKernel"]
    return found
