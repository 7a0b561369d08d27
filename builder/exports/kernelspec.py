"""A published kernel image as a `kernel.json`, by which a gateway or a lab starts kernels in containers of it.

Enterprise Gateway reads `metadata.process_proxy`, Gateway Provisioners `metadata.kernel_provisioner`; both set
`KERNEL_IMAGE` from the `image_name` there, and run `argv`, a launcher that asks Kubernetes or Docker for the container.
The launcher lies beside kernel.json, in `scripts/`, where `jupyter k8s-spec install` and `jupyter docker-spec install`
put it. Its arguments are the plain ones: Gateway Provisioners' launchers know no others, and Enterprise Gateway's take
them since 3.0, where `--RemoteProcessProxy.*` are deprecated.

Sources: gateway_provisioners 0.5.0, `kernel-specs/container_*` and `cli/`; Enterprise Gateway 3.3,
`services/processproxies`; jupyter_client, "Kernel specs", for `{resource_dir}`.
"""

from __future__ import annotations

import json
from typing import Final

from builder.digest import Json
from builder.errors import StackbuildError
from builder.exports import Scope, Subject
from builder.manifest.model import PLAIN

SCOPE = Scope.IMAGE
DIGESTS = True
_PROXIES: Final = "enterprise_gateway.services.processproxies"
_CLASSES: Final = {
    "eg-kubernetes": f"{_PROXIES}.k8s.KubernetesProcessProxy",
    "eg-docker": f"{_PROXIES}.docker_swarm.DockerProcessProxy",
}
_PROVISIONERS: Final = {"gp-kubernetes": "kubernetes-provisioner", "gp-docker": "docker-provisioner"}
READERS: Final = (*_CLASSES, *_PROVISIONERS)
_LANGUAGES: Final = {"python": "python", "r": "R", "scala": "scala"}
"""As kernelspecs write them, by what an image's KERNEL_LANGUAGE says in lower case."""


def export(subject: Subject) -> str:
    """The text of kernel.json.

    Raises:
        StackbuildError: the image is no kernel image; it was not pushed.
    """
    language = _language(subject)
    reference = subject.references(subject.targets)[subject.target]
    target = subject.target
    name = target.image if target.variant == PLAIN else f"{target.image}-{target.variant}"
    found: Json = {
        "language": language,
        "display_name": subject.manifest.images[target.image].description or name,
        "metadata": _metadata(subject.reader, language, reference),
        "env": {},
        "argv": _argv(subject.reader, language),
    }
    return json.dumps(found, indent=2) + "\n"


def _language(subject: Subject) -> str:
    """What the image's KERNEL_LANGUAGE says, by which its bootstrap-kernel.sh chooses a launcher too."""
    said = ""
    for image in subject.manifest.family(subject.target):
        said = image.env.get("KERNEL_LANGUAGE", said)
    if said.lower() not in _LANGUAGES:
        raise StackbuildError(
            f"no kernel image: {subject.target.image}",
            where=f"images.{subject.target.image}.env",
            expected=f"KERNEL_LANGUAGE as one of {', '.join(_LANGUAGES)}",
            got=f"KERNEL_LANGUAGE={said}" if said else "no KERNEL_LANGUAGE",
        )
    return _LANGUAGES[said.lower()]


def _metadata(reader: str, language: str, reference: str) -> Json:
    """Debugging and CurveZMQ are what ipykernel alone has; only Gateway Provisioners asks for the second."""
    config = {"image_name": reference}
    found: dict[str, Json] = {"debugger": True} if language == "python" else {}
    if reader in _CLASSES:
        return {**found, "process_proxy": {"class_name": _CLASSES[reader], "config": config}}
    if language == "python":
        found["supported_encryption"] = ["curve"]
    return {**found, "kernel_provisioner": {"provisioner_name": _PROVISIONERS[reader], "config": config}}


def _argv(reader: str, language: str) -> list[Json]:
    """The launcher; what stands in braces is replaced by who runs it."""
    launcher = "launch_kubernetes.py" if reader.endswith("kubernetes") else "launch_docker.py"
    given = ["kernel-id", "port-range", "response-address", "public-key"]
    found: list[Json] = ["python", f"{{resource_dir}}/scripts/{launcher}"]
    if language == "python" and reader in _PROVISIONERS:
        given.append("transport-encryption")
    for one in given:
        found += [f"--{one}", f"{{{one.replace('-', '_')}}}"]
    if language == "python":
        found += ["--kernel-class-name", "ipykernel.ipkernel.IPythonKernel"]
    return found
