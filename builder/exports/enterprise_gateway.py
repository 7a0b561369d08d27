"""A published gateway image as objects of Kubernetes: Enterprise Gateway, and no more rights than it needs.

    Namespace ─┬─ ServiceAccount ◀── Role or ClusterRole      what Enterprise Gateway may do
               ├─ ConfigMap: kernel.json of each kernel image, by index digest ─┐ mounted over those in the image
               └─ Deployment ◀── Service                                        ◀┘

Kernels live in the gateway's own namespace (`--for shared-namespace`), or in one for each that it creates and deletes
(`--for kernel-namespaces`), for which it needs rights over the whole cluster.

The kernel.json files in the image name kernel images of the gateway's own platform. Those of the ConfigMap name the
published index, so that a kernel may land on a machine of any of its platforms.

Sources: Enterprise Gateway 3.3, `services/processproxies/k8s.py`, for what it asks of Kubernetes; gateway_provisioners
0.5.0, `launch_kubernetes.py`; Kubernetes, "Using RBAC Authorization", "Privilege escalation prevention", for `bind`;
Kubernetes API reference, apps/v1, rbac.authorization.k8s.io/v1.
"""

from __future__ import annotations

from typing import Final

from builder.digest import Json
from builder.errors import StackbuildError
from builder.exports import Scope, Subject
from builder.exports.yaml_text import dumps
from builder.kinds.kernelspec import document
from builder.kinds.kernelspec.request import Request, inherited
from builder.manifest.model import Target
from builder.manifest.settings import PLAIN, Layout

SCOPE = Scope.IMAGE
DIGESTS = True
SHARED: Final = "shared-namespace"
READERS = (SHARED, "kernel-namespaces")
_SPECS: Final = "eg-kubernetes"
_RBAC: Final = "rbac.authorization.k8s.io"
_RESPONSE: Final = 8877
_CONFIG_MAP_MOST: Final = 1 << 20  # What Kubernetes takes of a ConfigMap, bytes.


def export(subject: Subject) -> str:
    """The text (YAML, several documents), for `kubectl apply -f`.

    Raises:
        StackbuildError: the image has no kernelspecs for Enterprise Gateway on Kubernetes, exposes no port, or has no
            layout; it was not pushed.
    """
    target, manifest = subject.target, subject.manifest
    specs = [one for one in inherited(manifest, target) if one.reader == _SPECS]
    if not specs:
        raise StackbuildError(
            f"no gateway for Kubernetes: {target.image}",
            where=f"images.{target.image}",
            expected=f'kernelspecs for = "{_SPECS}", its own or an ancestor\'s',
        )
    name = target.image if target.variant == PLAIN else f"{target.image}-{target.variant}"
    kernels = tuple(dict.fromkeys(one.kernel for one in specs))
    known = subject.references((*subject.targets, *kernels))
    if target not in known:
        raise StackbuildError(
            f"not pushed from here: {target.image}",
            expected="a digest, which only a pushed image has",
            next_step=f"stackbuild push {target.image}; or --tag TAG, for what the registry has under it",
        )
    files = {f"{one.name}.json": document.dumps(one.spec(known[one.kernel])) for one in specs if one.kernel in known}
    if sum(map(len, files.values())) > _CONFIG_MAP_MOST:
        raise StackbuildError(f"too many kernelspecs for one ConfigMap: {len(files)}", expected="1 MiB in all")
    shared = subject.reader == SHARED
    objects: list[Json] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _meta(name)},
        *(_in_one_namespace(name) if shared else _over_namespaces(name)),
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": _meta(name, "kernelspecs"), "data": files},
        _deployment(subject, name, known[target], specs, tuple(files)),
        _service(name),
    ]
    return "---\n".join(dumps(one) for one in objects)


def _meta(name: str, part: str = "") -> Json:
    called = f"{name}-{part}" if part else name
    return {"name": called, "namespace": name, "labels": {"app": name}}


def _in_one_namespace(name: str) -> list[Json]:
    """Kernels' pods, in the gateway's own namespace: nothing else."""
    return [
        {
            "apiVersion": f"{_RBAC}/v1",
            "kind": "Role",
            "metadata": _meta(name),
            "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["create", "delete", "list"]}],
        },
        {
            "apiVersion": f"{_RBAC}/v1",
            "kind": "RoleBinding",
            "metadata": _meta(name),
            **_bound("Role", name, name),
        },
    ]


def _over_namespaces(name: str) -> list[Json]:
    """Namespaces, pods in any of them, and role bindings to the kernels' role and to no other. That role has no rules:
    Enterprise Gateway binds one for each kernel, and cluster-admin if it is told of none."""
    kernels = f"{name}-kernel"
    rules: Json = [
        {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["create", "delete"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["create", "delete", "list"]},
        {"apiGroups": [_RBAC], "resources": ["rolebindings"], "verbs": ["create"]},
        {"apiGroups": [_RBAC], "resources": ["clusterroles"], "verbs": ["bind"], "resourceNames": [kernels]},
    ]
    everywhere: Json = {"name": name, "labels": {"app": name}}
    return [
        {
            "apiVersion": f"{_RBAC}/v1",
            "kind": "ClusterRole",
            "metadata": {"name": kernels, "labels": {"app": name}},
            "rules": [],
        },
        {"apiVersion": f"{_RBAC}/v1", "kind": "ClusterRole", "metadata": everywhere, "rules": rules},
        {
            "apiVersion": f"{_RBAC}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": everywhere,
            **_bound("ClusterRole", name, name),
        },
    ]


def _bound(kind: str, role: str, name: str) -> dict[str, Json]:
    return {
        "roleRef": {"apiGroup": _RBAC, "kind": kind, "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": name}],
    }


def _deployment(subject: Subject, name: str, reference: str, specs: list[Request], files: tuple[str, ...]) -> Json:
    """One pod: what runs is in its memory. Another one begins when it is gone, which takes its kernels along."""
    port = _port(subject)
    mounts: list[Json] = [
        {
            "name": "kernelspecs",
            "mountPath": f"{document.FOLDER}/{file.removesuffix('.json')}/kernel.json",
            "subPath": file,
            "readOnly": True,
        }
        for file in files
    ]
    container: Json = {
        "name": "gateway",
        "image": reference,
        "env": _env(subject, name, specs, port),
        "ports": [
            {"name": "http", "containerPort": port, "protocol": "TCP"},
            {"name": "response", "containerPort": _RESPONSE, "protocol": "TCP"},
        ],
        # A request would need the token, if there is one.
        "readinessProbe": {"tcpSocket": {"port": "http"}},
        "livenessProbe": {"tcpSocket": {"port": "http"}, "initialDelaySeconds": 30},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": mounts,
    }
    layout = _layout(subject, subject.target)
    pod: Json = {
        "serviceAccountName": name,
        "terminationGracePeriodSeconds": 60,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": layout.uid,
            "runAsGroup": layout.gid,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [{"name": "kernelspecs", "configMap": {"name": f"{name}-kernelspecs"}}],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _meta(name),
        "spec": {
            "replicas": 1,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": {"app": name, "component": "gateway"}},
            "template": {"metadata": {"labels": {"app": name, "component": "gateway"}}, "spec": pod},
        },
    }


def _env(subject: Subject, name: str, specs: list[Request], port: int) -> list[Json]:
    """What Enterprise Gateway is told; it has a token if somebody made the Secret that may hold one."""
    said = {
        "EG_PORT": str(port),
        "EG_RESPONSE_PORT": str(_RESPONSE),
        "EG_ALLOWED_KERNELS": ",".join(one.name for one in specs),
        "EG_DEFAULT_KERNEL_NAME": next((one.name for one in specs if one.language == "python"), specs[0].name),
        "EG_SHARED_NAMESPACE": "true" if subject.reader == SHARED else "false",
        "EG_KERNEL_CLUSTER_ROLE": f"{name}-kernel",
    }
    found: list[Json] = [{"name": key, "value": value} for key, value in said.items()]
    for key, field in (("EG_NAMESPACE", "metadata.namespace"), ("EG_RESPONSE_IP", "status.podIP")):
        found.append({"name": key, "valueFrom": {"fieldRef": {"fieldPath": field}}})
    token: Json = {"name": f"{name}-token", "key": "token", "optional": True}
    found.append({"name": "EG_AUTH_TOKEN", "valueFrom": {"secretKeyRef": token}})
    return found


def _service(name: str) -> Json:
    """Clients keep to one pod, should there be several: kernels are known to one only."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _meta(name),
        "spec": {
            "selector": {"app": name, "component": "gateway"},
            "sessionAffinity": "ClientIP",
            "ports": [{"name": "http", "port": 8888, "targetPort": "http", "protocol": "TCP"}],
        },
    }


def _port(subject: Subject) -> int:
    ports = [port for image in subject.manifest.family(subject.target) for port in image.expose]
    if not ports:
        raise StackbuildError(
            f"no port to reach it by: {subject.target.image}",
            where=f"images.{subject.target.image}",
            next_step="expose = [8888]",
        )
    return ports[-1]


def _layout(subject: Subject, target: Target) -> Layout:
    found = subject.manifest.layout(target)
    if found is None or not found.uid:
        raise StackbuildError(
            f"it would run as root, or as nobody knows whom: {target.image}",
            where=f"images.{target.image}",
            expected="a layout with a uid other than 0, its own or an ancestor's",
        )
    return found
